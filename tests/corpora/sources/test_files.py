from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.prepare import prepare_language
from raydt.corpora.sources import read_text
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS, Split, SplitKeys, split_documents
from raydt.errors import InputError


def prepared(path: Path) -> PreparedLanguage:
    return prepare_language(
        locate(FilesCorpus(path.parent)), path.stem, 0, 0, 0, path.parent / "prepared"
    )


def streams(path: Path) -> dict[Split, list[bytes]]:
    """The documents of each split."""
    folder = prepared(path).folder
    return {split: (folder / f"{split}.bin").read_bytes().split(b"\0")[:-1] for split in SPLITS}


def stored(path: Path) -> list[bytes]:
    """All documents of a file, of all splits."""
    return [document for documents in streams(path).values() for document in documents]


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "xx.txt"
    path.write_bytes(data)
    return path


def test_bom_crlf_nul_and_blank_lines_are_taken_away_and_counted(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbffirst\r\n\r\n \t\nsec\0ond\0\n\0\nlast without end"
    path = written(tmp_path, data)
    assert sorted(stored(path)) == [b"first", b"last without end", b"second"]
    dropped = prepared(path).manifest.dropped
    assert dropped["blank documents"] == 3
    assert dropped["NUL bytes"] == 3


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
    monkeypatch.setattr(read_text, "_BLOCK_BYTES", block_bytes)
    path = written(tmp_path, data)
    with pytest.raises(InputError) as caught:
        prepared(path)
    (problem,) = caught.value.problems
    assert str(path) in problem.what
    assert problem.expected.startswith("UTF-8 text")
    assert problem.got.endswith(f"at offset {offset}")


def test_utf8_across_blocks_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_text, "_BLOCK_BYTES", 2)
    text = "日本語 😀 grüße"
    assert stored(written(tmp_path, text.encode())) == [text.encode()]


@pytest.mark.parametrize("data", [b"", b"\n\n\r\n", b"\xef\xbb\xbf", b"\0\0\n"])
def test_a_file_without_documents_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    with pytest.raises(InputError, match="at least one document") as caught:
        prepared(path)
    assert str(path) in caught.value.problems[0].what


def test_splits_are_a_partition_that_does_not_depend_on_what_follows() -> None:
    few, many = split_documents(1000), split_documents(3000)
    assert sorted(np.concatenate(list(many.values()))) == list(range(3000))
    for split, indices in many.items():
        assert indices[indices < 1000].tolist() == few[split].tolist()
        assert indices.tolist() != sorted(indices)
    keys = SplitKeys()
    drawn = [keys.draw(num)[1] for num in (1, 999, 7)]
    assert np.array_equal(np.concatenate(drawn), SplitKeys().draw(1007)[1])
    assert np.array_equal(drawn[2], SplitKeys(1000).draw(7)[1])
    assert 100 < len(many["val"]) < 200
    assert 100 < len(many["test"]) < 200


def test_a_held_out_line_is_held_out_in_every_parallel_language(tmp_path: Path) -> None:
    num_lines = 600
    blank = {5, 17, 200}  # lines that one of the languages lacks must not shift the others
    numbered = {}
    for language in ("en", "de"):
        path = tmp_path / f"{language}.txt"
        text = [
            ""
            if language == "de" and number in blank
            else f"{number} {language}" * (number % 3 + 1)
            for number in range(num_lines)
        ]
        path.write_text("\n".join(text) + "\n")
        numbered[language] = {
            split: [int(document.split()[0]) for document in documents]
            for split, documents in streams(path).items()
        }
    for split, numbers in numbered["de"].items():
        assert numbers == [number for number in numbered["en"][split] if number not in blank]
    assert not set(numbered["de"]["train"]) & set(numbered["en"]["val"] + numbered["en"]["test"])


def test_copies_of_held_out_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    # Every document twice, a thousand lines apart: some pairs fall on both sides.
    copies = "".join(f"document {number}\n" for number in range(1000)) * 2
    path = written(tmp_path, copies.encode())
    documents = streams(path)
    split = {name: set(documents[name]) for name in documents}
    dropped = prepared(path).manifest.dropped
    assert not split["train"] & (split["val"] | split["test"])
    assert not split["val"] & split["test"]
    assert len(split["train"] | split["val"] | split["test"]) == 1000
    from_train = dropped["train documents equal to one of val or test"]
    from_val = dropped["val documents equal to one of test"]
    assert from_train > 100
    assert from_val > 0
    num_stored = sum(map(len, documents.values()))
    assert num_stored + from_train + from_val == 2000
    # A document that train alone has twice stays there twice: that is how the corpus is.
    assert len(documents["train"]) > len(split["train"])
