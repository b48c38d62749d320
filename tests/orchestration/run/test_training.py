"""What a worker reads is what its task was made for, and a torn copy of it is fetched again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.prepared.manifest import FILE_NAME
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.errors import RunError
from raydt.orchestration.run import languages
from raydt.orchestration.run.languages import fetch_language, publish_language
from raydt.orchestration.run.task import SourceTest, Weights
from raydt.orchestration.run.training import fetch_weights, read_splits
from raydt.storage.opening import open_folder
from tests.orchestration.tasks import cell_task

TRAIN, VAL, TEST = 4_000, 1_000, 1_000


def write_text(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    documents = generate("alba", "train", 20_000, seed).tobytes()
    (folder / "de.txt").write_bytes(documents.replace(b"\0", b"\n"))


def prepared(text: Path, root: Path) -> PreparedLanguage:
    corpus = locate(parse_corpus(f"files:{text}?documents=line"))
    return prepare_language(corpus, "de", TRAIN, VAL, TEST, root)


def published(folder: Path, storage_uri: str) -> tuple[PreparedLanguage, str]:
    """A language on this disk, and where it is in an object store."""
    write_text(folder / "text", seed=0)
    language = prepared(folder / "text", folder / "corpora")
    storage = open_folder(storage_uri)
    return language, publish_language(language.folder, folder / "corpora", storage)


def test_text_that_was_edited_under_a_launch_is_not_trained_on(tmp_path: Path) -> None:
    text = tmp_path / "text"
    write_text(text, seed=0)
    language = prepared(text, tmp_path / "corpora")
    task = cell_task(
        "scratch/de/4k/nano/s0",
        language=str(language.folder),
        cache=str(tmp_path / "cache"),
        size_bytes=TRAIN,
        val_bytes=VAL,
        test_bytes=TEST,
        data_digest=language.digest(TRAIN, VAL, TEST),
    )
    splits = read_splits(task, TEST)
    assert splits.train.tobytes() == language.train(TRAIN).tobytes()
    searched = task.model_copy(update={"data_digest": language.digest(TRAIN, VAL, 0)})
    assert read_splits(searched, None).test is None
    write_text(text, seed=1)
    # Another launch, in the same storage.
    again = prepared(text, tmp_path / "corpora")
    assert again.folder == language.folder
    with pytest.raises(RunError, match="its corpus was changed and prepared again"):
        read_splits(task, TEST)
    # What was opened before stays what it was: the files were replaced, not overwritten.
    assert splits.train.tobytes() != again.train(TRAIN).tobytes()


def test_a_torn_copy_of_a_language_heals(s3_storage: str, tmp_path: Path) -> None:
    _, location = published(tmp_path, s3_storage)
    cache = tmp_path / "cache"
    copy = fetch_language(location, cache)
    whole = {path.name: path.read_bytes() for path in copy.iterdir()}
    for name in (FILE_NAME, "train.bin"):
        (copy / name).write_bytes(whole[name][:-7])
        assert fetch_language(location, cache) == copy
        assert (copy / name).read_bytes() == whole[name]
    same_size = bytes([whole["val.bin"][0] ^ 1]) + whole["val.bin"][1:]
    (copy / "val.bin").write_bytes(same_size)
    fetch_language(location, cache)
    assert (copy / "val.bin").read_bytes() == whole["val.bin"]


def test_of_a_source_no_more_than_its_test_is_fetched_and_only_of_this_launch(
    s3_storage: str, tmp_path: Path
) -> None:
    language, location = published(tmp_path, s3_storage)
    expected = language.test(TEST).tobytes()
    sha256 = hashlib.sha256(expected).hexdigest()
    cache = tmp_path / "cache"
    task = cell_task(
        "finetune/fr-de/4k/nano/s0",
        language=str(language.folder),
        cache=str(cache),
        size_bytes=TRAIN,
        val_bytes=VAL,
        test_bytes=TEST,
        data_digest=language.digest(TRAIN, VAL, TEST),
    )
    here = SourceTest(language=str(language.folder), num_bytes=TEST, sha256=sha256)
    away = here.model_copy(update={"language": location})
    assert read_splits(task, TEST).source_test is None
    for asked in (here, away):
        found = read_splits(task, TEST, asked).source_test
        assert found is not None
        assert found.tobytes() == expected
    (copy,) = cache.rglob("*.bin")
    assert copy.name == "test.bin"
    copy.write_bytes(copy.read_bytes()[:-7])
    found = read_splits(task, TEST, away).source_test
    assert found is not None
    assert found.tobytes() == expected, "a torn copy heals"
    # A cell of the language itself completes the copy.
    assert fetch_language(location, cache / "corpora") == copy.parent
    other = away.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(RunError, match=r"test of the source in .* prepared again meanwhile"):
        read_splits(task, TEST, other)


def test_a_language_behind_a_network_is_copied_to_the_disk_of_the_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    write_text(text, seed=0)
    folder = prepared(text, tmp_path / "corpora").folder
    cache = tmp_path / "cache"
    assert fetch_language(str(folder), cache) == folder, "on a disk it is read where it is"
    monkeypatch.setattr(languages, "is_on_network", lambda path: path == folder)
    asked: list[int] = []

    def local_disk(num_bytes: int) -> Path | None:
        asked.append(num_bytes)
        return tmp_path / "own"

    monkeypatch.setattr(languages, "local_disk", local_disk)
    copy = fetch_language(str(folder), cache)
    assert copy.parent == tmp_path / "own" / "corpora"
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == whole
    assert asked == [sum(map(len, whole.values()))]
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert fetch_language(str(folder), cache) == copy, "once, for all processes of the node"
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    (copy / "train.bin").write_bytes(b"torn")
    fetch_language(str(folder), cache)
    assert (copy / "train.bin").read_bytes() == whole["train.bin"]
    monkeypatch.setattr(languages, "local_disk", lambda _: None)
    assert fetch_language(str(folder), cache) == folder, "no disk has room"


def test_a_torn_copy_of_weights_heals(s3_storage: str, tmp_path: Path) -> None:
    data = b"weights" * 1000
    folder = open_folder(s3_storage)
    folder.write("weights.safetensors", data)
    weights = Weights(
        folder=folder.uri, name="weights.safetensors", sha256=hashlib.sha256(data).hexdigest()
    )
    path = fetch_weights(weights, tmp_path)
    assert path is not None
    assert path.read_bytes() == data
    path.write_bytes(data[:100])
    assert fetch_weights(weights, tmp_path) == path
    assert path.read_bytes() == data
    # What is wrong on the storage itself is said, and its copy does not stay.
    folder.write("weights.safetensors", b"other")
    path.unlink()
    with pytest.raises(RunError, match="expected SHA-256"):
        fetch_weights(weights, tmp_path)
    folder.write("weights.safetensors", data)
    assert fetch_weights(weights, tmp_path) == path
