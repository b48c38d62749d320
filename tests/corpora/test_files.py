from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydt.corpora import files
from raydt.corpora.files import read_file
from raydt.corpora.splits import split_documents
from raydt.errors import InputError


def stored(path: Path) -> list[bytes]:
    """All documents of a file, of all splits."""
    text = read_file(path)
    return [document for stream in text.splits.values() for document in stream.split(b"\0")[:-1]]


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "xx.txt"
    path.write_bytes(data)
    return path


def test_bom_crlf_nul_and_blank_lines_are_taken_away_and_counted(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbffirst\r\n\r\n \t\nsec\0ond\0\n\0\nlast without end"
    path = written(tmp_path, data)
    assert sorted(stored(path)) == [b"first", b"last without end", b"second"]
    text = read_file(path)
    assert text.dropped["blank lines"] == 3
    assert text.dropped["NUL bytes"] == 3
    assert text.num_bytes == len(data)


def test_only_newlines_end_documents(tmp_path: Path) -> None:
    line = "a\u2028b\u0085c\x0bd\x1ce\rf\ufeff"
    assert stored(written(tmp_path, f"{line}\n".encode())) == [line.encode()]


@pytest.mark.parametrize("block_bytes", [3, 7, 2**24])
@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\xff", 0),
        ("grüße, ".encode() + b"\xfcber", 9),
        (b"\xef\xbb\xbfab\r\n\0\xc3(", 8),
        ("日本".encode()[:-1], 3),
        (b"ok\n\xed\xa0\x80", 3),  # a surrogate
    ],
)
def test_what_is_not_utf8_is_named_with_file_and_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, offset: int, block_bytes: int
) -> None:
    monkeypatch.setattr(files, "_BLOCK_BYTES", block_bytes)
    path = written(tmp_path, data)
    with pytest.raises(InputError) as caught:
        read_file(path)
    (problem,) = caught.value.problems
    assert str(path) in problem.what
    assert problem.requirement == "UTF-8 text"
    assert f"at offset {offset} " in problem.found


def test_utf8_across_blocks_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BLOCK_BYTES", 2)
    text = "日本語 😀 grüße"
    assert stored(written(tmp_path, text.encode())) == [text.encode()]


@pytest.mark.parametrize("data", [b"", b"\n\n\r\n", b"\xef\xbb\xbf", b"\0\0\n"])
def test_a_file_without_documents_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    with pytest.raises(InputError, match="at least one document") as caught:
        read_file(path)
    assert str(path) in caught.value.problems[0].what


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "xx.txt").mkdir()
    with pytest.raises(InputError, match="can be read"):
        read_file(tmp_path / "xx.txt")


def test_splits_are_a_partition_that_does_not_depend_on_what_follows() -> None:
    few, many = split_documents(1000), split_documents(3000)
    assert sorted(np.concatenate(list(many.values()))) == list(range(3000))
    for split, indices in many.items():
        assert indices[indices < 1000].tolist() == few[split].tolist()
        assert indices.tolist() != sorted(indices)
    assert 100 < len(many["val"]) < 200
    assert 100 < len(many["test"]) < 200


def test_a_held_out_line_is_held_out_in_every_parallel_language(tmp_path: Path) -> None:
    num_lines = 600
    blank = {5, 17, 200}  # lines that one of the languages lacks must not shift the others
    streams = {}
    for language in ("en", "de"):
        path = tmp_path / f"{language}.txt"
        text = [
            ""
            if language == "de" and number in blank
            else f"{number} {language}" * (number % 3 + 1)
            for number in range(num_lines)
        ]
        path.write_text("\n".join(text) + "\n")
        streams[language] = {
            split: [int(document.split()[0]) for document in stream.split(b"\0")[:-1]]
            for split, stream in read_file(path).splits.items()
        }
    for split, numbers in streams["de"].items():
        assert numbers == [number for number in streams["en"][split] if number not in blank]
    assert not set(streams["de"]["train"]) & set(streams["en"]["val"] + streams["en"]["test"])


def test_copies_of_held_out_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    # Every document twice, a thousand lines apart: some pairs fall on both sides.
    copies = "".join(f"document {number}\n" for number in range(1000)) * 2
    text = read_file(written(tmp_path, copies.encode()))
    split = {name: set(stream.split(b"\0")[:-1]) for name, stream in text.splits.items()}
    assert not split["train"] & (split["val"] | split["test"])
    assert not split["val"] & split["test"]
    assert len(split["train"] | split["val"] | split["test"]) == 1000
    from_train = text.dropped["train documents equal to one of val or test"]
    from_val = text.dropped["val documents equal to one of test"]
    assert from_train > 100
    assert from_val > 0
    num_stored = sum(stream.count(b"\0") for stream in text.splits.values())
    assert num_stored + from_train + from_val == 2000
    # A document that train alone has twice stays there twice: that is how the corpus is.
    assert text.splits["train"].count(b"\0") > len(split["train"])
