"""What an audit planted in the data path, and what has to come of it."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydt.corpora.prepared.contamination import find_contamination
from raydt.corpora.preparing import buckets, shuffle
from raydt.corpora.preparing.duplicates import HeldOut
from raydt.corpora.preparing.prepare import prepare_corpus, prepare_language
from raydt.corpora.sources import hub
from raydt.corpora.sources.documents import from_list
from raydt.corpora.sources.files import read_file
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus, HubCorpus
from raydt.corpora.splits import split_documents
from raydt.errors import InputError
from tests.corpora.articles import split_texts, words

NUM_DOCUMENTS = 1_200  # many: the rule that a corpus of any size has


def with_texts(folder: Path, texts: list[str]) -> FilesCorpus:
    folder.mkdir()
    (folder / "en.txt").write_text("".join(f"{text}\n" for text in texts))
    return FilesCorpus(folder)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [words(seed, 1_500) for seed in range(NUM_DOCUMENTS)]


def test_a_test_document_within_a_longer_one_does_not_stay_in_train(
    tmp_path: Path, root: Path, texts: list[str]
) -> None:
    splits = split_documents(NUM_DOCUMENTS)
    planted = list(texts)
    for whole, inside in zip(splits["train"].tolist(), splits["test"].tolist(), strict=False):
        planted[whole] = (
            f"{words(whole + 9_999, 6_000)} {texts[inside]} {words(whole + 5_555, 6_000)}"
        )
    language = prepare_language(locate(with_texts(tmp_path / "t", planted)), "en", 1, 1, 1, root)
    found = split_texts(language)
    train = "\0".join(found["train"])
    assert not any(text[200:1_200] in train for text in found["test"])
    # And nothing else goes.
    num = {name: record.num_documents for name, record in language.manifest.splits.items()}
    assert num["test"] == len(splits["test"])
    assert num["train"] == len(splits["train"]) - len(splits["test"])


def test_documents_that_share_a_header_stay(tmp_path: Path, root: Path) -> None:
    header = words(77, 400)
    planted = [f"{header} {words(seed, 500)}" for seed in range(NUM_DOCUMENTS)]
    language = prepare_language(locate(with_texts(tmp_path / "h", planted)), "en", 1, 1, 1, root)
    num = sum(record.num_documents for record in language.manifest.splits.values())
    assert num >= 0.97 * NUM_DOCUMENTS


def changed(text: str, share: float, seed: int) -> bytes:
    """A text with a share of its characters replaced."""
    rng = random.Random(seed)
    return "".join(
        rng.choice("qwertz") if rng.random() < share else letter for letter in text
    ).encode()


@pytest.mark.parametrize(
    ("num_bytes", "share", "is_few", "recall"),
    [
        (3_500, 0.01, False, 0.95),
        (3_500, 0.02, False, 0.85),
        (3_500, 0.02, True, 0.9),
        (300, 0.01, True, 0.85),
        (300, 0.02, True, 0.8),
    ],
)
def test_copies_with_changes_are_found(
    num_bytes: int, share: float, is_few: bool, recall: float
) -> None:
    num = 60
    known = [words(seed, num_bytes) for seed in range(num)]
    held_out = HeldOut(is_few)
    held_out.add(from_list([text.encode() for text in known]))
    held_out.close()
    copies = from_list([changed(text, share, seed) for seed, text in enumerate(known)])
    _, near = held_out.find(copies)
    assert near.mean() >= recall
    others = from_list([words(seed + 5_000, num_bytes).encode() for seed in range(num)])
    assert not held_out.find(others)[1].any()


def test_paragraphs_do_not_depend_on_where_blocks_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = ["a", "bc", "\n", "\n\n", " \n", "\r\n", "\t\n", " ", "\n \n", "d\n"]
    path = tmp_path / "en.txt"
    spec = FilesCorpus(tmp_path, documents="paragraph")

    def documents(start: int = 0) -> list[tuple[bytes, int]]:
        found: list[tuple[bytes, int]] = []
        for block in read_file(spec, path, start):
            found += [(text, block.position["offset"]) for text in block.documents.to_pylist()]
        return found

    for seed in range(300):
        rng = random.Random(seed)
        path.write_bytes("".join(rng.choices(pieces, k=30)).encode())
        monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 2**22)
        whole = [text for text, _ in documents()]
        for block_bytes in (1, 3, 7):
            monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", block_bytes)
            found = documents()
            assert [text for text, _ in found] == whole, seed
            # Resumed after a kill at any block, it is the same text.
            for number, (_, position) in enumerate(found):
                if number + 1 == len(found) or found[number + 1][1] != position:
                    again = [text for text, _ in documents(position)]
                    assert again == whole[number + 1 :], (seed, position)


def test_a_file_that_changes_while_it_is_hashed_is_an_error(
    tmp_path: Path, root: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = with_texts(tmp_path / "c", texts[:300])
    path, real = corpus.file("en"), shuffle.hash_file

    def late(hashed: Path) -> str:
        while not list(root.glob(".work/*/en/new/test.bin")):  # the text has been read by then
            time.sleep(0.01)
        path.write_text("another text\n" * 300)
        return real(hashed)

    monkeypatch.setattr(shuffle, "hash_file", late)
    with pytest.raises(InputError, match="unchanged files while they are read"):
        prepare_language(locate(corpus), "en", 1, 1, 1, root)


def test_a_source_whose_size_and_time_are_put_back_is_seen_to_have_changed(
    tmp_path: Path, root: Path, texts: list[str]
) -> None:
    corpus = with_texts(tmp_path / "c", texts[:300])
    before = prepare_language(locate(corpus), "en", 1, 1, 1, root)
    path = corpus.file("en")
    status = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = prepare_language(locate(corpus), "en", 1, 1, 1, root)
    assert after.manifest.source.files != before.manifest.source.files
    assert path.stat().st_size == status.st_size


def test_a_branch_that_moves_on_stays_what_it_was_for_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(["first", "second", "third"])
    monkeypatch.setattr(shuffle, "find_origin", lambda _: hub.Origin(next(commits), None))
    spec = HubCorpus("owner/data")
    assert [shuffle._origin_of(spec, tmp_path).revision for _ in range(3)] == ["first"] * 3


@pytest.mark.parametrize("num_characters", [200, 60])
def test_contamination_of_short_documents_is_seen(
    shared: Path, tmp_path: Path, num_characters: int
) -> None:
    documents = []
    for language, number in (("en", 900), ("de", 100)):
        text = (shared / "corpora" / f"{language}.txt").read_text().replace("\n", " ")
        starts = np.random.default_rng(0).integers(0, len(text) - 500, number)
        documents += [text[at : at + num_characters] for at in starts.tolist()]
    random.Random(0).shuffle(documents)
    path = tmp_path / "train.bin"
    path.write_bytes(b"".join(text.encode() + b"\0" for text in documents))
    share = find_contamination(path, "en", ["en", "de"]).foreign("en")
    assert share is not None
    assert 0.06 < share < 0.15


# Row 8 of the cases from the field: corpora in which document i says the same in every language.


def parallel(folder: Path, extra: dict[str, str] | None = None) -> FilesCorpus:
    folder.mkdir()
    for language in ("de", "en"):
        lines = [
            f"{number} {words(number + len(language), 40 + number % 97)}" for number in range(300)
        ]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n")
    for name, text in (extra or {}).items():
        (folder / name).write_text(text)
    return FilesCorpus(folder, aligned="yes")


def test_only_what_was_asked_for_counts(tmp_path: Path, root: Path) -> None:
    plain = prepare_corpus(
        locate(parallel(tmp_path / "plain")), {"de": 1, "en": 1}, 1, 1, tmp_path / "a"
    )
    extra = {"README.txt": "about\n", "xx.txt": "other\n" * 7, "empty.txt": ""}
    corpus = parallel(tmp_path / "more", extra)
    with corpus.file("en").open("a") as file:
        file.write("\n \n")
    prepared = prepare_corpus(locate(corpus), {"de": 1, "en": 1}, 1, 1, root)
    for name, language in plain.items():
        assert split_texts(prepared[name]) == split_texts(language)


@pytest.mark.parametrize("gone", [0, 120, 299])
def test_where_files_part_is_named(tmp_path: Path, root: Path, gone: int) -> None:
    corpus = parallel(tmp_path / "p")
    lines = corpus.file("en").read_text().splitlines()
    del lines[gone]
    corpus.file("en").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        prepare_corpus(locate(corpus), {"de": 1, "en": 1}, 1, 1, root)
    message = str(caught.value)
    about = int(message.partition("about document ")[2].partition(":")[0])
    assert abs(about - (gone + 1)) <= 5
    assert "299" in message
    assert "300 documents" in message


def line_of(number: int, seed: int) -> str:
    return f"{number} {words(number * 2 + seed, 60)}".replace('"', "")


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv"])
def test_documents_of_one_name_are_held_out_together(
    tmp_path: Path, root: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for seed, language in enumerate(("de", "en")):
        # The same pages in another order, and some that the other language lacks.
        numbers = list(range(seed * 20, 1_000 + seed * 20))
        random.Random(seed).shuffle(numbers)
        rows = [
            {"url": n if form == "parquet" else f"page/{n}", "text": line_of(n, seed)}
            for n in numbers
        ]
        rows[7]["url"] = None  # type: ignore[typeddict-item]
        path = folder / f"{language}.{form}"
        if form == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif form == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
        else:
            path.write_text(
                "url,text\n" + "".join(f'{row["url"] or ""},"{row["text"]}"\n' for row in rows)
            )
    spec = FilesCorpus(folder, split_by="url")
    prepared = prepare_corpus(locate(spec), {"de": 1, "en": 1}, 1, 1, root)
    where: dict[str, dict[str, set[int]]] = {}
    for name, language in prepared.items():
        where[name] = {
            split: {int(text.split()[0]) for text in texts}
            for split, texts in split_texts(language).items()
        }
        assert 30 < len(where[name]["test"]) < 75
        assert "'url'" in language.manifest.split_rule
    for one, other in (("de", "en"), ("en", "de")):
        assert len(where[one]["train"] & (where[other]["test"] | where[other]["val"])) <= 2
    # The same text in small blocks, interrupted and resumed.
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 3_000)
    monkeypatch.setattr(buckets, "_CHECKPOINT_BYTES", 1)
    monkeypatch.setattr(buckets, "_CHECKPOINT_SECONDS", 0)
    left = [4]

    def stop(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    again = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        prepare_language(locate(spec), "de", 1, 1, 1, again, stop)
    resumed = prepare_language(locate(spec), "de", 1, 1, 1, again)
    assert resumed.manifest.splits == prepared["de"].manifest.splits


def test_lines_have_no_names(tmp_path: Path, root: Path, texts: list[str]) -> None:
    spec = replace(with_texts(tmp_path / "c", texts[:300]), split_by="url")
    with pytest.raises(InputError, match="split_by: expected files with named columns"):
        prepare_language(locate(spec), "en", 1, 1, 1, root)
