"""Blocks of documents: one Arrow array of bytes, in which each document ends with the separator.

N = bytes, D = documents. Nothing here loops over documents unless one of them is irregular.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydt.corpora.options import Normalisation
from raydt.corpora.sources.signatures import control_bytes
from raydt.corpora.splits import SEPARATOR

NUL = bytes([SEPARATOR])
# Names of changed or omitted content in the manifest.
NUL_BYTES = "NUL bytes"
BLANK = "blank documents"
NO_TEXT = "rows without text"
ODD_ROWS = "rows that are no text"
NOT_UTF8 = "documents that are not UTF-8"
REPLACED = "documents with replaced bytes"

Position: TypeAlias = dict[str, Any]  # where a source resumes, as JSON that only the source reads


@dataclass(frozen=True)
class Block:
    """Consecutive documents of a source, including blank ones, which have an index as well."""

    documents: pa.LargeBinaryArray  # (D,), each ends with the separator; no other byte 0
    position: Position  # of the next document
    num_bytes_read: int  # of the source so far, as stored
    counts: Counter[str] = field(default_factory=Counter)


def parts(documents: pa.LargeBinaryArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes (N,) of all documents, and the offsets (D + 1,) of each; no copies."""
    _, offset_buffer, data_buffer = documents.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)
    offsets = offsets[documents.offset : documents.offset + len(documents) + 1]
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def from_parts(data: Any, offsets: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """Documents of these bytes (N,) with `offsets` (D + 1,); no copy."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def from_list(documents: Sequence[bytes]) -> pa.LargeBinaryArray:
    """Documents from byte strings without the separator."""
    lengths = np.fromiter(map(len, documents), dtype=np.int64, count=len(documents))
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)])
    return from_parts(NUL.join([*documents, b""]), offsets)


def from_lines(text: bytes) -> pa.LargeBinaryArray:
    """The lines of a text without byte 0; the last one may lack its newline."""
    data = text.replace(b"\n", NUL)
    if not data.endswith(NUL):
        data += NUL
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == SEPARATOR)
    return from_parts(data, np.concatenate([[0], ends + 1]))


class NoTextError(Exception):
    """A column is not text, although its bytes are UTF-8; the message says what was found."""


def from_column(column: pa.Array, normalise: Normalisation, counts: Counter[str]) -> pa.Array:
    """The cleaned documents of a column of text. Raises `pa.ArrowInvalid` for invalid UTF-8, and
    `NoTextError` for more than a trace of control bytes.

    A row without text is kept as a blank document, so that rows keep their index.
    """
    text = column.cast(pa.large_string())
    if text.null_count:
        counts[NO_TEXT] += text.null_count
        counts[BLANK] -= text.null_count  # counted only once
        text = text.fill_null("")
    if normalise != "none":
        values = text.cast(pa.large_binary()).to_pylist()
        text = pa.array([normalised(value, normalise) for value in values], pa.large_binary())
    text = text.cast(pa.large_binary())
    data, _ = parts(text)
    # One pass is enough for clean text: its lowest byte shows whether anything must be removed.
    lowest = int(data.min()) if len(data) else ord(" ")
    if lowest < ord("\t") and (found := control_bytes(data)):
        raise NoTextError(found)
    if lowest == SEPARATOR:
        counts[NUL_BYTES] += int(np.count_nonzero(data == SEPARATOR))
        values = text.to_pylist()
        text = pa.array([value.replace(NUL, b"") for value in values], pa.large_binary())
    if lowest <= ord("\r") and (data == ord("\r")).any():
        text = pc.replace_substring(text, b"\r\n", b"\n")
    # Joining text and an empty string with the separator puts the separator after the text.
    empty, separator = (pa.scalar(value, pa.large_binary()) for value in (b"", NUL))
    return pc.binary_join_element_wise(text, empty, separator)


def is_utf8(text: bytes) -> bool:
    """Whether all of it is UTF-8; gigabytes per second."""
    try:
        from_parts(text, np.array([0, len(text)])).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def first_not_utf8(text: bytes) -> tuple[int, str]:
    """The offset of the first byte that is not UTF-8, and what is wrong with it."""
    try:
        codecs.utf_8_decode(text, "strict", True)
    except UnicodeDecodeError as error:
        return error.start, f"byte 0x{text[error.start]:02x} ({error.reason})"
    raise AssertionError("all of the text is UTF-8")


def normalised(text: bytes, form: Normalisation) -> bytes:
    """A text in a Unicode normalisation form."""
    # Not Arrow's `utf8_normalize`, which in version 25 does not compose a letter and its accent in
    # NFC.
    if form == "none" or text.isascii():
        return text
    return unicodedata.normalize(form, text.decode()).encode()


def not_blank(documents: pa.LargeBinaryArray) -> NDArray[np.bool_]:
    """Which documents are more than white space, (D,)."""
    data, offsets = parts(documents)
    if not len(documents):
        return np.zeros(0, dtype=bool)
    keep = np.ones(len(documents), dtype=bool)
    # Only documents that start and end with white space, or are empty, can be blank.
    last = np.maximum(offsets[1:] - 2, offsets[:-1])
    maybe = (data[offsets[:-1]] <= ord(" ")) & (data[last] <= ord(" "))
    for index in np.flatnonzero(maybe).tolist():
        document = data[offsets[index] : offsets[index + 1]].tobytes()
        keep[index] = bool(document.rstrip(NUL).strip())
    return keep
