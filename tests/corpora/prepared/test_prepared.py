from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.prepared import stamps
from raydt.corpora.prepared.language import PreparedLanguage, open_language
from raydt.corpora.prepared.stamps import hash_file
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError


def prepare_en(corpus: FilesCorpus, root: Path) -> PreparedLanguage:
    return prepare_language(locate(corpus), "en", 5000, 100, 100, root)


def test_sizes_are_nested_prefixes_that_nobody_can_write(corpus: FilesCorpus, root: Path) -> None:
    language = prepare_en(corpus, root)
    whole = language.train(5000)
    for num_bytes in (0, 1, 100, 4999):
        part = language.train(num_bytes)
        assert part.dtype == np.uint8
        assert part.shape == (num_bytes,)
        assert np.array_equal(part, whole[:num_bytes])
        assert not part.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        whole[0] = 1


def test_a_damaged_file_is_seen_when_it_is_read(corpus: FilesCorpus, root: Path) -> None:
    language = prepare_en(corpus, root)
    os.truncate(language.folder / "train.bin", 4000)
    with pytest.raises(InputError, match="prepare the language again") as caught:
        language.train(100)
    assert str(language.folder / "train.bin") in caught.value.problems[0].what
    assert "4000 bytes instead of" in caught.value.problems[0].got
    assert not language.is_whole()


def test_other_bytes_of_the_same_size_are_seen_once_their_time_is_another(
    corpus: FilesCorpus, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "_ALWAYS_HASHED_BYTES", 0)
    language = prepare_en(corpus, root)
    path = language.folder / "train.bin"
    whole = path.read_bytes()
    hashed: list[Path] = []
    monkeypatch.setattr(stamps, "hash_file", lambda path: hashed.append(path) or hash_file(path))
    language.train(100)
    assert hashed == []  # nothing is read as long as nothing has changed
    path.write_bytes(whole)
    language.train(100)
    language.train(200)
    assert hashed == [path]  # once
    path.write_bytes(b"x" + whole[1:])
    with pytest.raises(InputError, match="bytes whose SHA-256 is not"):
        language.train(100)
    assert prepare_en(corpus, root).train(len(whole)).tobytes() == whole  # made again


@pytest.mark.parametrize("always_hashed_bytes", [0, 2**24])
def test_bytes_overwritten_in_place_with_their_time_put_back_are_seen(
    corpus: FilesCorpus, root: Path, monkeypatch: pytest.MonkeyPatch, always_hashed_bytes: int
) -> None:
    monkeypatch.setattr(stamps, "_ALWAYS_HASHED_BYTES", always_hashed_bytes)
    language = prepare_en(corpus, root)
    path = language.folder / "train.bin"
    language.train(100)
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(InputError, match="bytes whose SHA-256 is not"):
        language.train(100)
    assert prepare_en(corpus, root).is_whole()  # made again


def test_a_file_that_was_replaced_is_not_read_as_the_old_one(
    corpus: FilesCorpus, root: Path
) -> None:
    old = prepare_en(corpus, root)
    path = corpus.file("en")
    path.write_text(path.read_text().replace("grüßt", "verabschiedet"))
    prepare_en(corpus, root)
    with pytest.raises(InputError, match="instead of"):
        old.train(100)


def test_digests_depend_on_what_is_read_and_on_nothing_else(
    corpus: FilesCorpus, root: Path, tmp_path: Path
) -> None:
    digest = prepare_en(corpus, root).digest(1000, 100, 100)
    # Elsewhere, under another name, with more text after it.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    more = corpus.file("en").read_text() + "one more\n" * 3
    (elsewhere / "english.txt").write_text(more)
    other = prepare_language(
        locate(FilesCorpus(elsewhere)), "english", 2000, 100, 100, tmp_path / "r"
    )
    assert other.folder != prepare_en(corpus, root).folder
    sizes = [(1000, 100, 100), (999, 100, 100), (1000, 99, 100), (1000, 100, 99)]
    digests = {prepare_en(corpus, root).digest(*ask) for ask in sizes}
    assert len(digests) == 4
    assert digest in digests
    assert (
        prepare_language(locate(corpus), "de", 1000, 100, 100, root).digest(1000, 100, 100)
        != digest
    )
    copied = tmp_path / "copied"
    prepare_en(corpus, root).folder.rename(copied)
    assert open_language(copied).digest(1000, 100, 100) == digest


def test_a_digest_tells_the_splits_apart(
    corpus: FilesCorpus, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = prepare_en(corpus, root)
    for split, record in language.manifest.splits.items():
        (language.folder / f"{split}.bin").write_bytes(b"a" * record.num_bytes)
    monkeypatch.setattr("raydt.corpora.prepared.language.is_unchanged", lambda *_: True)
    assert language.digest(60, 40, 50) != language.digest(50, 50, 50)
