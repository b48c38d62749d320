from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.controlled.catalog import generate, generator_version
from raydt.corpora.prepared.language import PreparedLanguage, open_language
from raydt.corpora.prepared.manifest import FORMAT, read_manifest
from raydt.corpora.preparing import place
from raydt.corpora.preparing.prepare import (
    check_prepared,
    prepare_corpus,
    prepare_language,
)
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import ControlledCorpus, CorpusSpec, FilesCorpus
from raydt.corpora.splits import SPLITS, Split
from raydt.errors import InputError

CONTROLLED = ControlledCorpus()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with what changes if it is written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def everything(language: PreparedLanguage) -> dict[Split, bytes]:
    return {
        split: language.prefix(split, record.num_bytes).tobytes()
        for split, record in language.manifest.splits.items()
    }


def prepare_en(corpus: FilesCorpus, root: Path) -> PreparedLanguage:
    return prepare_language(locate(corpus), "en", 5000, 100, 100, root)


def test_a_controlled_language_is_what_was_generated(root: Path) -> None:
    language = prepare_language(locate(CONTROLLED), "alba", 30_000, 2_000, 1_000, root)
    assert language.folder == root / "controlled-0" / "alba"
    assert np.array_equal(language.train(30_000), generate("alba", "train", 30_000, 0))
    assert np.array_equal(language.val(2_000), generate("alba", "val", 2_000, 0))
    assert np.array_equal(language.test(500), generate("alba", "test", 500, 0))


def test_the_manifest_says_what_is_there(corpus: FilesCorpus, root: Path) -> None:
    path = corpus.file("en")
    data = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\n\n nul\0\n"
    path.write_bytes(data)
    language = prepare_en(corpus, root)
    manifest = language.manifest
    assert (manifest.language, manifest.licence) == ("en", None)
    assert manifest.source.corpus == corpus.name
    assert manifest.source.files is not None
    (file,) = manifest.source.files
    assert file.num_bytes == len(data)
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert manifest.source.num_documents == 603
    assert manifest.dropped["blank documents"] == 2
    assert manifest.dropped["NUL bytes"] == 1
    num_documents = 0
    for split, stream in everything(language).items():
        record = manifest.splits[split]
        documents = [document.decode() for document in stream.split(b"\0")[:-1]]
        num_documents += len(documents)
        assert record.num_documents == len(documents)
        assert record.num_characters == sum(map(len, documents))
        num_text_bytes = len(stream) - len(documents)
        assert record.bytes_per_character == num_text_bytes / record.num_characters
        assert record.sha256 == hashlib.sha256(stream).hexdigest()
        assert (language.folder / f"{split}.bin").read_bytes() == stream
    assert num_documents == 601
    shown = json.loads((language.folder / "manifest.json").read_text())
    assert shown["format"] == FORMAT
    assert "document index" in shown["split_rule"]
    assert read_manifest(language.folder) == manifest


def test_preparing_again_writes_nothing(corpus: FilesCorpus, root: Path) -> None:
    prepare_en(corpus, root)
    prepare_language(locate(CONTROLLED), "brio", 10_000, 500, 500, root)
    before = snapshot(root)
    prepare_en(corpus, root)
    prepare_language(locate(corpus), "en", 10, 200, 0, root)
    prepare_language(locate(CONTROLLED), "brio", 10_000, 500, 500, root)
    prepare_language(locate(CONTROLLED), "brio", 9_000, 400, 0, root)
    # The same text at another time, as after a copy or a checkout.
    os.utime(corpus.file("en"), ns=(1, 1))
    prepare_en(corpus, root)
    assert snapshot(root) == before


def test_another_text_is_prepared_anew(corpus: FilesCorpus, root: Path) -> None:
    before = everything(prepare_en(corpus, root))
    path = corpus.file("en")
    path.write_text(path.read_text().replace("en 1", "EN 1"))  # of the same size
    os.utime(path, ns=(1, 1))
    after = everything(prepare_en(corpus, root))
    assert before != after
    assert b"EN 1" in after["train"]
    assert {entry.name for entry in (root / corpus.key).iterdir()} == {"en"}


def test_a_controlled_language_grows_and_keeps_its_beginning(root: Path) -> None:
    small = prepare_language(locate(CONTROLLED), "related", 1_000, 3_000, 100, root)
    digest = small.digest(1_000, 3_000, 100)
    large = prepare_language(locate(CONTROLLED), "related", 90_000, 100, 100, root)
    stored = {split: large.manifest.splits[split].num_bytes for split in SPLITS}
    assert stored == {"train": 90_000, "val": 3_000, "test": 100}
    assert large.digest(1_000, 3_000, 100) == digest
    # Whoever had it open reads on.
    assert small.digest(1_000, 3_000, 100) == digest
    assert len(small.train(1_000)) == 1_000


def test_text_of_an_older_generator_is_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare_language(locate(CONTROLLED), "related", 1_000, 100, 100, root).folder
    before = folder.stat().st_ino
    now = generator_version("related")
    monkeypatch.setattr("raydt.corpora.preparing.generate.generator_version", lambda _: now + 1)
    prepare_language(locate(CONTROLLED), "related", 1_000, 100, 100, root)
    assert read_manifest(folder).source.generator == now + 1
    assert folder.stat().st_ino != before


@pytest.mark.parametrize(
    "damage",
    ["no manifest", "half a manifest", "old format", "truncated", "no file", "a file", "empty"],
)
@pytest.mark.parametrize("spec_name", ["files", "controlled"])
def test_what_a_kill_left_is_made_again(
    corpus: FilesCorpus, root: Path, spec_name: str, damage: str
) -> None:
    spec: CorpusSpec = corpus if spec_name == "files" else CONTROLLED
    language = "en" if spec_name == "files" else "alba"
    prepared = prepare_language(locate(spec), language, 5000, 100, 100, root)
    whole, folder = everything(prepared), prepared.folder
    manifest = folder / "manifest.json"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_text(manifest.read_text()[:200])
    elif damage == "old format":
        manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 0'))
    elif damage == "truncated":
        os.truncate(folder / "val.bin", 17)
    elif damage == "no file":
        (folder / "test.bin").unlink()
    else:
        for path in folder.iterdir():
            path.unlink()
        if damage == "a file":
            folder.rmdir()
            folder.write_text("in the way")
    with pytest.raises(InputError):
        everything(open_language(folder))
    again = prepare_language(locate(spec), language, 5000, 100, 100, root)
    assert everything(again) == whole
    assert [entry.name for entry in folder.parent.iterdir()] == [language]


def test_a_failure_leaves_nothing_behind(
    corpus: FilesCorpus, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, "write_manifest", full)
    with pytest.raises(InputError, match="No space left") as caught:
        prepare_en(corpus, root)
    assert str(root) in str(caught.value)
    assert not (root / corpus.key).exists()
    monkeypatch.undo()
    assert prepare_en(corpus, root).is_whole()


def test_a_root_that_is_no_folder_is_named(corpus: FilesCorpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="expected a writable folder") as caught:
        prepare_corpus(locate(corpus), {"en": 100, "de": 100}, 10, 10, tmp_path / "file" / "root")
    assert all(str(tmp_path / "file") in str(problem) for problem in caught.value.problems)


def test_more_than_the_corpus_has_is_an_error_with_both_numbers(
    corpus: FilesCorpus, root: Path
) -> None:
    size = corpus.file("en").stat().st_size
    with pytest.raises(InputError) as caught:
        prepare_language(locate(corpus), "en", size - 4000, 2000, 2000, root)
    stored = open_language(root / corpus.key / "en").manifest.splits
    problems = {problem.what: problem for problem in caught.value.problems}
    assert set(problems) == {"train of en", "val of en", "test of en"} - {
        f"{split} of en"
        for split, ask in zip(SPLITS, (size - 4000, 2000, 2000), strict=True)
        if stored[split].num_bytes >= ask
    }
    assert "val of en" in problems
    assert "--val-bytes no larger than the corpus" in problems["val of en"].expected
    assert "2000 bytes" in problems["val of en"].expected
    assert problems["val of en"].got == f"{stored['val'].num_bytes} bytes"
    # The same again from what is prepared, and at the reader.
    with pytest.raises(InputError, match="bytes no larger"):
        prepare_language(locate(corpus), "en", size - 4000, 2000, 2000, root)
    with pytest.raises(InputError, match="sizes no larger"):
        prepare_en(corpus, root).train(size)


def test_a_plan_knows_what_is_prepared(corpus: FilesCorpus, root: Path) -> None:
    found, size = locate(corpus), corpus.file("en").stat().st_size
    assert check_prepared(found, {"en": size}, None, None, root) == [], "nothing is prepared"
    stored = prepare_en(corpus, root).manifest.splits
    enough = {"en": stored["train"].num_bytes, "de": size}
    assert check_prepared(found, enough, 100, 100, root) == []
    more = {"en": stored["train"].num_bytes + 1}
    train, test = check_prepared(found, more, 100, stored["test"].num_bytes + 1, root)
    assert train.what == "train of en"
    assert "--pretrain-size and --sizes no larger than the corpus" in train.expected
    assert test.what == "test of en"
    with corpus.file("en").open("a") as file:
        file.write("another line\n")
    assert check_prepared(locate(corpus), more, 100, 100, root) == [], "of other text"


def test_problems_of_all_languages_come_in_one_error(corpus: FilesCorpus, root: Path) -> None:
    corpus.file("bad").write_bytes(b"fine\n" * 300 + b"\xff\n")
    corpus.file("empty").write_bytes(b"")
    corpus.file("blank").write_bytes(b"\n" * 500)
    corpus.file("small").write_bytes(b"a\n")
    train_bytes = {"en": 100, "bad": 100, "empty": 100, "blank": 100, "small": 100}
    ready: list[str] = []
    with pytest.raises(InputError) as caught:
        prepare_corpus(
            locate(corpus), train_bytes | {"dd": 1, "a/b": 1}, 10, 10, root, ready.append
        )
    text = str(caught.value)
    for expected in ("offset 1500", "empty.txt", "500 blank", "small.txt", "'dd'", "'a/b'"):
        assert expected in text
    assert len(caught.value.problems) == 6
    assert ready == ["en"]
    with pytest.raises(InputError) as caught:
        prepare_corpus(locate(FilesCorpus(root / "absent")), {"en": 1, "de": 1}, 1, 1, root)
    assert len(caught.value.problems) == 1


def test_prepare_corpus_returns_every_language(corpus: FilesCorpus, root: Path) -> None:
    ready: list[str] = []
    prepared = prepare_corpus(locate(corpus), {"en": 100, "de": 200}, 50, 50, root, ready.append)
    assert list(prepared) == ready == ["en", "de"]
    assert all(prepared[name].name == name for name in ready)
    assert open_language(prepared["de"].folder) == prepared["de"]
    assert pickle.loads(pickle.dumps(prepared)) == prepared


def _prepare_in_a_process(job: tuple[CorpusSpec, str, int, int, Path]) -> str:
    spec, language, train_bytes, val_bytes, root = job
    prepared = prepare_language(locate(spec), language, train_bytes, val_bytes, 100, root)
    assert len(prepared.train(train_bytes)) == train_bytes
    assert len(prepared.val(val_bytes)) == val_bytes
    return prepared.digest(1000, 100, 100)


def test_processes_that_prepare_the_same_at_once_agree(corpus: FilesCorpus, root: Path) -> None:
    # Two of the same, and two of which neither is large enough for the other.
    jobs: list[tuple[CorpusSpec, str, int, int, Path]] = [
        (corpus, "en", 5000, 100, root),
        (corpus, "en", 5000, 100, root),
        (CONTROLLED, "related", 200_000, 500, root),
        (CONTROLLED, "related", 1_000, 200_000, root),
    ]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        digests = list(pool.map(_prepare_in_a_process, jobs))
    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    for folder in (root / corpus.key / "en", root / "controlled-0" / "related"):
        language = open_language(folder)
        for split, stream in everything(language).items():
            record = language.manifest.splits[split]
            assert hashlib.sha256(stream).hexdigest() == record.sha256
        assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]
