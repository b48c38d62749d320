"""Text files: one file a language, one document a line."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR, Split, split_documents
from raydt.errors import bad

_BLOCK_BYTES = 2**24
_NUL = bytes([SEPARATOR])


@dataclass(frozen=True)
class FileText:
    """A file as three streams of documents, each ended by byte 0."""

    splits: dict[Split, bytes]
    dropped: dict[str, int]
    num_bytes: int  # of the file as it was read
    sha256: str


def read_file(path: Path) -> FileText:
    """Read, check, clean and split a text file; `InputError` if it has no documents to give.

    A document keeps the number of its line, blank lines counted, so that the lines of parallel
    files stay together when the splits are drawn.
    """
    raw = _read(path)
    _check_utf8(raw, path)
    text = raw.removeprefix(codecs.BOM_UTF8)
    num_nul = text.count(_NUL)
    lines = text.replace(b"\r\n", b"\n").replace(_NUL, b"").split(b"\n")
    if not lines[-1]:
        lines.pop()  # what follows the last newline is no line
    indices = split_documents(len(lines))
    documents = {split: _documents(lines, indices[split]) for split in indices}
    num_documents = sum(map(len, documents.values()))
    if num_documents == 0:
        raise bad(f"file {path}", "at least one document", f"{len(lines)} blank lines")

    # A document that is held out is in no split that is used before: not in train if it is in
    # val or test, and not in val, which chooses checkpoints, if it is in test, which is reported.
    test = set(documents["test"])
    val = [document for document in documents["val"] if document not in test]
    held_out = test.union(val)
    train = [document for document in documents["train"] if document not in held_out]
    return FileText(
        splits={
            "train": _stream(train),
            "val": _stream(val),
            "test": _stream(documents["test"]),
        },
        dropped={
            "blank lines": len(lines) - num_documents,
            "NUL bytes": num_nul,
            "train documents equal to one of val or test": len(documents["train"]) - len(train),
            "val documents equal to one of test": len(documents["val"]) - len(val),
        },
        num_bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bad(f"file {path}", "a file that can be read", error.strerror or error) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise bad(f"file {path}", "a file that can be read", error.strerror or error) from error


def _check_utf8(raw: bytes, path: Path) -> None:
    """`InputError` with the offset of the first byte that is not UTF-8."""
    # Block by block: decoded text takes up to four bytes a character.
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    view = memoryview(raw)
    for start in range(0, max(1, len(raw)), _BLOCK_BYTES):
        held_back = len(decoder.getstate()[0])  # of a character that the last block cut
        try:
            decoder.decode(view[start : start + _BLOCK_BYTES], start + _BLOCK_BYTES >= len(raw))
        except UnicodeDecodeError as error:
            offset = start - held_back + error.start
            found = f"byte 0x{raw[offset]:02x} at offset {offset} ({error.reason})"
            raise bad(f"file {path}", "UTF-8 text", found) from error


def _documents(lines: list[bytes], indices: NDArray[np.int64]) -> list[bytes]:
    return [line for line in map(lines.__getitem__, indices.tolist()) if line.strip()]


def _stream(documents: list[bytes]) -> bytes:
    return b"".join(document + _NUL for document in documents)
