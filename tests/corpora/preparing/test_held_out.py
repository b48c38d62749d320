"""`val` and `test` that stand for the language: of few documents, and of long ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydt.config.evaluation import LEAST_BYTES, LEAST_EXCERPTS, TEST_BYTES, VAL_BYTES
from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing import buckets
from raydt.corpora.preparing.buckets import GAPS
from raydt.corpora.preparing.excerpts import cut, num_pieces, pieces
from raydt.corpora.preparing.few import EXCERPTS_BELOW, FEW, FLOOR, GAP_BYTES, LONG_BYTES, split_few
from raydt.corpora.preparing.prepare import prepare_corpus, prepare_language
from raydt.corpora.sources.check import check_corpus
from raydt.corpora.sources.documents import from_list
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import ControlledCorpus, FilesCorpus, parse_corpus
from raydt.corpora.splits import SPLITS, Few, Split, SplitKeys, SplitRule, split_documents
from raydt.errors import InputError

WINDOW_BYTES = 64
LETTERS = list("abcdefghijklmnopqrstuväöß日")
WORDS = ["".join(np.random.default_rng(i).choice(LETTERS, 6)) for i in range(3000)]


def words(seed: int, num_bytes: int) -> str:
    """Text that no other seed has, some of its letters of two bytes and of three."""
    numbers = np.random.default_rng(seed).integers(0, len(WORDS), num_bytes // 4)
    text = " ".join(WORDS[number] for number in numbers.tolist())
    return text.encode()[:num_bytes].decode("utf-8", "ignore").strip()


def articles(folder: Path, lengths: list[int], language: str = "en", seed: int = 0) -> FilesCorpus:
    folder.mkdir(exist_ok=True)
    text = "".join(f"{words(seed * 10_000 + i, n)}\n" for i, n in enumerate(lengths))
    (folder / f"{language}.txt").write_text(text)
    return FilesCorpus(folder)


def split_texts(language: PreparedLanguage) -> dict[Split, list[str]]:
    return {
        split: (language.folder / f"{split}.bin").read_bytes().decode().split("\0")[:-1]
        for split in SPLITS
    }


def text_windows(texts: list[str], step: int) -> set[bytes]:
    return {
        each[at : at + WINDOW_BYTES]
        for each in (text.encode() for text in texts)
        for at in range(0, len(each) - WINDOW_BYTES, step)
    }


def lengths_of(num: int, low: int = 3_000, high: int = 9_000) -> list[int]:
    return np.random.default_rng(num).integers(low, high, num).tolist()


@pytest.mark.parametrize(
    ("num", "low", "high"),
    [
        (115, 3_500, 9_000),
        (115, 20_000, 40_000),
        (80, 3_500, 9_000),
        (40, 3_500, 9_000),
        (10, 20_000, 40_000),
        (1, 400_000, 500_000),
    ],
)
def test_few_long_documents_give_excerpts(
    tmp_path: Path, root: Path, num: int, low: int, high: int
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(num, low, high))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = corpus.file("en").read_text().splitlines()
    total = sum(len(document.encode()) for document in documents)
    splits = language.manifest.splits
    texts = split_texts(language)
    for split in ("val", "test"):
        assert splits[split].num_documents >= min(num, FLOOR)
        assert splits[split].num_excerpts == len(texts[split]) >= FLOOR
        assert LEAST_BYTES <= splits[split].num_bytes < 0.15 * total
    assert splits["train"].num_documents == num
    assert splits["train"].num_bytes > 0.7 * total
    # Each excerpt stands in one document, and nothing is in two splits.
    for split in SPLITS:
        assert all(sum(each in document for document in documents) == 1 for each in texts[split])
    num_gap_bytes = language.manifest.dropped[GAPS]
    assert 0 < num_gap_bytes <= 2 * GAP_BYTES * (splits["val"].num_excerpts * 2 + num * 2)
    stored = sum(len(each.encode()) for split in SPLITS for each in texts[split])
    assert stored + num_gap_bytes == total
    # Any text in two splits that is eight bytes longer than a window would be seen.
    train, val, test = (
        text_windows(texts[split], step) for split, step in zip(SPLITS, (8, 1, 1), strict=True)
    )
    assert not train & val
    assert not train & test
    assert not val & test


def test_between_an_excerpt_and_train_there_is_a_gap(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(80))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = [line.encode() for line in corpus.file("en").read_text().splitlines()]
    texts = split_texts(language)
    whose: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for split in SPLITS:
        for text in texts[split]:
            (index,) = (i for i, document in enumerate(documents) if text.encode() in document)
            begin = documents[index].find(text.encode())
            spans = whose.setdefault(index, {name: [] for name in SPLITS})
            spans[split].append((begin, begin + len(text.encode())))
    for spans in whose.values():
        # 80 are enough for each to give to one split alone.
        assert not (spans["val"] and spans["test"])
        for begin, end in spans["val"] + spans["test"]:
            for low, high in spans["train"]:
                assert high <= begin - GAP_BYTES + 4 or low >= end + GAP_BYTES - 4


@pytest.mark.parametrize("num", [40, 80, 150, 250, 600])
def test_few_short_documents_are_held_out_whole(tmp_path: Path, root: Path, num: int) -> None:
    corpus = articles(tmp_path / "short", lengths_of(num, 700, 1_400))
    language = prepare_language(locate(corpus), "en", 1, 1_000, 1_000, root)
    documents = corpus.file("en").read_text().splitlines()
    texts = split_texts(language)
    assert language.manifest.dropped.get(GAPS, 0) == 0
    assert sorted(text for split in SPLITS for text in texts[split]) == sorted(documents)
    expected = max(round(0.05 * num), min(FLOOR, int(0.15 * num)))
    for split in ("val", "test"):
        assert language.manifest.splits[split].num_documents == expected


def test_of_many_documents_the_index_alone_decides() -> None:
    keys = SplitKeys(3, SplitRule())
    assert np.array_equal(keys.draw(7)[0], SplitKeys().draw(10)[0][3:])
    rule = SplitRule(seed=1)
    assert np.array_equal(rule.stream(0, 5).random(3), rule.stream(0).random(8)[5:])
    assert not np.array_equal(SplitKeys(0, SplitRule(seed=1)).draw(99)[1], SplitKeys().draw(99)[1])


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=300),
    st.booleans(),
    st.sampled_from([None, 0.1, 0.45]),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_the_splits_of_any_few_documents(
    lengths: list[int], is_parallel: bool, share: float | None, seed: int
) -> None:
    few = split_few(lengths, SplitRule(share, share, seed), is_parallel)
    assert len(few.splits) == len(lengths)
    if is_parallel or len([n for n in lengths if n]) >= EXCERPTS_BELOW:
        assert not few.cuts
    num_whole = len(lengths) - len(few.cuts)
    num_blank = lengths.count(0)
    for number in (1, 2):
        most = 0.15 if share is None else share
        assert np.count_nonzero(few.splits == number) <= most * num_whole + 1 + num_blank
    for index, cuts in few.cuts.items():
        assert lengths[index] >= LONG_BYTES
        assert few.splits[index] == SPLITS.index("train")
        at = 0
        for each in cuts:
            assert at + GAP_BYTES <= each.begin < each.end
            at = each.end + GAP_BYTES
        assert at <= lengths[index]


def test_a_line_that_one_language_lacks_moves_no_other(tmp_path: Path) -> None:
    whole = split_few([50] * 400, SplitRule(), is_parallel=False)
    lacking = [0 if index in (3, 70, 200) else 50 for index in range(400)]
    assert np.array_equal(whole.splits, split_few(lacking, SplitRule(), False).splits)


# Texts with characters of one to four bytes.
TEXTS = st.text(st.sampled_from("ab ß日😀"), min_size=1, max_size=900)


@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(100, 300), st.data())
@settings(deadline=None)
def test_no_byte_is_lost_by_rounds(texts: list[str], excerpt_bytes: int, data: Any) -> None:
    documents = from_list([text.encode() for text in texts])
    drawn = st.lists(st.floats(0, 1, exclude_max=True), min_size=len(texts), max_size=len(texts))
    places = np.array(data.draw(drawn))
    most = int(num_pieces(documents, excerpt_bytes).max())
    found: list[bytes] = []
    begin, end = 0, 1
    while begin < most:
        made = pieces(documents, places, excerpt_bytes, begin, end)
        found += made.to_pylist()
        if begin == 0:
            assert len(made) == len(texts)
            assert max(map(len, made.to_pylist())) <= 1.5 * excerpt_bytes + 4
        begin, end = end, 2 * end
    for piece in found:
        piece.decode()
        assert piece.endswith(b"\0")
    # Once each: the same bytes in all, and every piece in a text.
    together = b"".join(found).replace(b"\0", b"")
    assert sorted(together) == sorted("".join(texts).encode())
    assert all(any(piece[:-1] in text.encode() for text in texts) for piece in found)


def test_pieces_are_cut_where_characters_begin() -> None:
    documents = from_list(["日本語".encode(), b"abc"])
    owners = np.array([0, 0, 1])
    made = cut(documents, owners, np.array([0, 5, 1]), np.array([5, 9, 3]))
    assert made.to_pylist() == ["日\0".encode(), "本語\0".encode(), b"bc\0"]


@pytest.mark.parametrize("num", [115, 300, 1100])
def test_a_prefix_has_many_documents(tmp_path: Path, root: Path, num: int) -> None:
    corpus = articles(tmp_path / "long", lengths_of(num, 4_000, 8_000))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    documents = corpus.file("en").read_text().splitlines()
    for split in ("val", "test"):
        stored = language.manifest.splits[split].num_documents
        for num_bytes in (8_000, 32_000):
            data = language.prefix(split, num_bytes).tobytes()
            heads = [piece[:40].decode("utf-8", "ignore") for piece in data.split(b"\0")[:-1]]
            found = {
                i for head in heads for i, document in enumerate(documents) if head in document
            }
            # Pieces are of a kilobyte, give or take a half.
            assert len(found) >= min(stored, num_bytes // 1500)


def test_excerpts_of_0_bytes_are_whole_documents(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(FEW + 100, 2_000, 4_000))
    whole = parse_corpus(f"{corpus.name}?excerpt_bytes=0")
    language = prepare_language(locate(whole), "en", 1, None, None, root)
    documents = set(corpus.file("en").read_text().splitlines())
    texts = split_texts(language)
    assert all(set(texts[split]) <= documents for split in SPLITS)
    cut_up = prepare_language(locate(corpus), "en", 1, None, None, root)
    for split in ("val", "test"):
        ours, theirs = cut_up.manifest.splits[split], language.manifest.splits[split]
        assert ours.num_documents == theirs.num_documents == theirs.num_excerpts
        assert ours.num_excerpts > 2 * ours.num_documents
        assert ours.num_characters == theirs.num_characters
    assert (cut_up.folder / "train.bin").read_bytes() == (
        language.folder / "train.bin"
    ).read_bytes()


def test_parallel_documents_are_held_out_whole_and_in_all_languages(
    tmp_path: Path, root: Path
) -> None:
    folder = tmp_path / "parallel"
    lengths = lengths_of(115, 3_500, 9_000)
    articles(folder, lengths, "en", 0)
    articles(folder, [n // 2 for n in lengths], "de", 1)
    corpus = FilesCorpus(folder, aligned="yes")
    prepared = prepare_corpus(locate(corpus), {"en": 1, "de": 1}, None, None, root)
    where: dict[str, dict[Split, set[int]]] = {}
    for name, language in prepared.items():
        documents = corpus.file(name).read_text().splitlines()
        where[name] = {
            split: {i for text in texts for i, doc in enumerate(documents) if text in doc}
            for split, texts in split_texts(language).items()
        }
        assert language.manifest.splits["val"].num_documents == int(0.15 * 115)
    assert where["en"] == where["de"]
    assert sum(map(len, where["en"].values())) == 115
    assert not where["en"]["train"] & (where["de"]["val"] | where["de"]["test"])


def test_a_copy_of_an_article_does_not_bring_its_excerpt_to_train(
    tmp_path: Path, root: Path
) -> None:
    folder = tmp_path / "copies"
    corpus = articles(folder, lengths_of(80))
    text = corpus.file("en").read_text()
    # A copy of every tenth, and one within a longer document.
    lines = text.splitlines()
    copies = [*lines[::10], f"{words(99, 3000)} {lines[5]} {words(98, 3000)}"]
    corpus.file("en").write_text(text + "".join(f"{line}\n" for line in copies))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    texts = split_texts(language)
    dropped = language.manifest.dropped
    assert dropped["train documents near one of val or test"] >= len(copies)
    train = "\0".join(texts["train"])
    assert not any(each in train for each in (*texts["val"], *texts["test"]))


def test_interrupted_and_taken_up_again_they_are_the_same(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(115))
    whole = prepare_language(locate(corpus), "en", 1, None, None, tmp_path / "whole")
    monkeypatch.setattr("raydt.corpora.sources.read_text._BLOCK_BYTES", 10_000)
    monkeypatch.setattr(buckets, "_CHECKPOINT_BYTES", 1)
    monkeypatch.setattr(buckets, "_CHECKPOINT_SECONDS", 0)
    num_left = [30]

    def stop(*_: object) -> None:
        num_left[0] -= 1
        if num_left[0] == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_language(locate(corpus), "en", 1, None, None, root, stop)
    work = next(root.glob(".work/*/en"))
    assert json.loads((work / "plan.json").read_text())["lengths"]
    assert (work / "buckets" / "checkpoint.json").exists()
    again = prepare_language(locate(corpus), "en", 1, None, None, root)
    assert again.manifest.splits == whole.manifest.splits
    assert again.manifest.dropped == whole.manifest.dropped


def test_documents_too_long_to_be_held_are_read_twice(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = articles(tmp_path / "long", lengths_of(60))
    whole = prepare_language(locate(corpus), "en", 1, None, None, tmp_path / "whole")
    monkeypatch.setattr("raydt.corpora.preparing.shuffle._LOOK_AHEAD_BYTES", 1)
    assert prepare_language(locate(corpus), "en", 1, None, None, root).manifest == whole.manifest


def test_shares_and_seed_are_options(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "short", lengths_of(300, 200, 400))
    kept = {}
    for options in ("?val_share=0.2&test_share=0.3", "?val_share=0.2&test_share=0.3&split_seed=7"):
        spec = parse_corpus(f"{corpus.name}{options}")
        assert spec.name == f"{corpus.name}{options}"
        language = prepare_language(locate(spec), "en", 1, None, None, root)
        numbers = {split: each.num_documents for split, each in language.manifest.splits.items()}
        assert numbers == {"train": 150, "val": 60, "test": 90}
        kept[options] = split_texts(language)
    first, second = kept.values()
    assert first["test"] != second["test"]
    # Of many the share is that of the random numbers.
    split, _ = SplitKeys(0, SplitRule(0.2, 0.3)).draw(20_000)
    assert np.bincount(split) / 20_000 == pytest.approx([0.5, 0.2, 0.3], abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("val_share=0.6", "corpus option val_share: a number from 0.01 to 0.45; found '0.6'"),
        ("test_share=x", "corpus option test_share: a number from 0.01 to 0.45; found 'x'"),
        ("split_seed=-1", "corpus option split_seed: a number from 0 on; found '-1'"),
        ("excerpt_bytes=5", "corpus option excerpt_bytes: 0, or 100 or more; found '5'"),
    ],
)
def test_options_out_of_range(options: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_corpus(f"files:/a?{options}")
    assert str(caught.value) == message


def test_too_little_is_an_error_with_the_option_to_type(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "small", lengths_of(60, 300, 400))
    with pytest.raises(InputError) as caught:
        prepare_language(locate(corpus), "en", 1, None, None, root)
    val, test = caught.value.problems
    assert (val.what, test.what) == ("val of en", "test of en")
    typed = f"{corpus.name}?val_share=0.25&test_share=0.25"
    assert f"hold out more (--corpus '{typed}')" in val.requirement
    assert "--protocol.val-bytes 3k" in val.requirement
    assert "in 9, of" in val.found
    # What it says helps.
    language = prepare_language(locate(parse_corpus(typed)), "en", 1, None, None, root)
    assert evaluation_bytes(language, "val", None) >= LEAST_BYTES
    assert language.manifest.splits["val"].num_excerpts >= LEAST_EXCERPTS
    least = prepare_language(locate(corpus), "en", 1, 3_000, 3_000, root)
    assert evaluation_bytes(least, "val", 3_000) == 3_000


def test_one_file_is_told_that_lines_may_be_documents(tmp_path: Path, root: Path) -> None:
    spec = FilesCorpus(tmp_path, documents="paragraph")
    (tmp_path / "en.txt").write_text("\n\n".join(words(i, 2_800) for i in range(5)))
    with pytest.raises(InputError, match="take lines for documents, if they are") as caught:
        prepare_language(locate(spec), "en", 1, None, None, root)
    assert "give it more text" in caught.value.problems[0].requirement


def test_what_is_named_must_be_there_and_what_is_not_follows(tmp_path: Path, root: Path) -> None:
    corpus = articles(tmp_path / "long", lengths_of(115, 3_500, 9_000))
    language = prepare_language(locate(corpus), "en", 1, None, None, root)
    stored = {split: each.num_bytes for split, each in language.manifest.splits.items()}
    assert evaluation_bytes(language, "val", None) == min(VAL_BYTES, stored["val"])
    assert evaluation_bytes(language, "test", None) == min(TEST_BYTES, stored["test"])
    with pytest.raises(InputError, match="200000 bytes") as caught:
        prepare_language(locate(corpus), "en", 1, None, 200_000, root)
    assert caught.value.problems[0].what == "test of en"
    assert check_corpus(locate(corpus), {"en": 1}, None, None) == []
    size = corpus.file("en").stat().st_size
    assert check_corpus(locate(corpus), {"en": size - LEAST_BYTES}, None, None)


def test_a_controlled_language_is_as_long_as_a_cell_may_read(root: Path) -> None:
    language = prepare_language(locate(ControlledCorpus()), "alba", 2_000, None, None, root)
    assert evaluation_bytes(language, "val", None) == VAL_BYTES
    assert evaluation_bytes(language, "test", None) == TEST_BYTES
    few = prepare_language(locate(ControlledCorpus()), "alba", 2_000, 8_000, 8_000, root)
    assert few.val(8_000).tobytes() == language.val(VAL_BYTES)[:8_000].tobytes()


def test_split_documents_takes_few() -> None:
    few = Few(np.array([0, 1, 2, 0], dtype=np.int8))
    found = split_documents(4, few)
    expected = {"train": [0, 3], "val": [1], "test": [2]}
    assert {split: sorted(each.tolist()) for split, each in found.items()} == expected


def shared_chapters() -> list[str]:
    beside = Path(__file__).parents[3].parent / "shared"
    path = Path(os.environ.get("RAYDT_SHARED", beside)) / "corpora" / "fi.txt"
    if not path.is_file():
        pytest.skip(f"real text is not here: {path} is absent (RAYDT_SHARED names its parent)")
    return path.read_text("utf-8").splitlines()


def test_a_hundred_long_articles_of_real_text(tmp_path: Path, root: Path) -> None:
    chapters = shared_chapters()
    folder = tmp_path / "articles"
    folder.mkdir()
    # Seven chapters make an article of 25 kB.
    joined = [" ".join(chapters[first : first + 7]) for first in range(0, 805, 7)]
    (folder / "fi.txt").write_text("".join(f"{article}\n" for article in joined))
    language = prepare_language(locate(FilesCorpus(folder)), "fi", 128_000, None, None, root)
    splits = language.manifest.splits
    assert len(joined) == 115
    assert splits["train"].num_bytes > 0.8 * (language.manifest.source.num_text_bytes or 0)
    assert splits["val"].num_documents >= 50
    assert splits["test"].num_documents >= 50
    assert evaluation_bytes(language, "val", None) == VAL_BYTES
    assert evaluation_bytes(language, "test", None) == TEST_BYTES
    for split, num_bytes in (("val", VAL_BYTES), ("test", TEST_BYTES)):
        pieces_read = language.prefix(split, num_bytes).tobytes().split(b"\0")  # type: ignore[arg-type]
        heads = [piece[:60].decode("utf-8", "ignore") for piece in pieces_read[:-1]]
        whose = {i for head in heads for i, article in enumerate(joined) if head in article}
        assert len(whose) >= 25
