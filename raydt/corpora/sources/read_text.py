"""Text files as blocks of documents: .txt by line, paragraph or file, and .jsonl by row."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

from raydt.corpora.sources.documents import (
    BLANK,
    NOT_UTF8,
    NUL,
    NUL_BYTES,
    REPLACED,
    Block,
    first_not_utf8,
    from_column,
    from_lines,
    from_list,
    is_utf8,
    normalised,
)
from raydt.corpora.sources.formats import compression, file_format
from raydt.corpora.spec import FilesCorpus, Unit
from raydt.errors import InputError, bad

_BLOCK_BYTES = 2**22
_PARAGRAPH_END = re.compile(rb"\n(?:[ \t]*\n)+")


def read_text(path: Path, spec: FilesCorpus, start: int) -> Iterator[Block]:
    """The documents of a file from byte `start` of its text on.

    `InputError` for what is not UTF-8 (with the offset in the text, which of a compressed file is
    the offset in what it unpacks to), a broken archive, or rows without the column.
    """
    is_json = file_format(path) == "jsonl"
    unit: Unit = "line" if is_json else spec.documents
    for offset, piece, num_bytes_read in _pieces(path, unit, start):
        counts: Counter[str] = Counter()
        text = piece.removeprefix(codecs.BOM_UTF8) if offset == 0 else piece
        end = offset + len(piece)
        if not is_utf8(text):
            text = _mend(text, path, end - len(text), spec, unit, is_json, counts)
        if is_json:
            documents = _rows(text, path, offset, spec, counts)
        else:
            text = normalised(_clean(text, counts), spec.normalise)
            documents = _split(text, unit)
        yield Block(documents, {"offset": end}, num_bytes_read, counts)


def _pieces(path: Path, unit: Unit, start: int) -> Iterator[tuple[int, bytes, int]]:
    """Offset, bytes and how much of the file has been read: pieces that end where documents do."""
    offset = start
    held: list[bytes] = []  # a document longer than a block is put together once
    try:
        with path.open("rb") as file:
            stream: Any = file
            packed = compression(path)
            if packed:
                stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), packed)
                _skip(stream, start)
            else:
                file.seek(start)
            while piece := stream.read(_BLOCK_BYTES):
                cut = _last_end(piece, unit)
                if not cut:
                    held.append(piece)
                    continue
                whole = b"".join([*held, piece[:cut]])
                held = [piece[cut:]]
                yield offset, whole, file.tell()
                offset += len(whole)
            whole = b"".join(held)
            if whole:
                yield offset, whole, file.tell()
    except OSError as error:
        found = error.strerror or str(error)
        raise bad(f"file {path}", "a whole file that can be read", found) from error


def _skip(stream: Any, num_bytes: int) -> None:
    while num_bytes:
        num_bytes -= len(stream.read(min(num_bytes, _BLOCK_BYTES)))


def _last_end(piece: bytes, unit: Unit) -> int:
    """Where the last document that ends in a piece ends; 0 if none does."""
    if unit == "line":
        return piece.rfind(b"\n") + 1
    if unit == "file":
        return 0
    found = max(piece.rfind(b"\n\n") + 2, piece.rfind(b"\n\r\n") + 3)
    return found if found > 3 else 0


def _clean(text: bytes, counts: Counter[str]) -> bytes:
    num_nul = text.count(NUL)
    if num_nul:
        counts[NUL_BYTES] += num_nul
        text = text.replace(NUL, b"")
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text


def _split(text: bytes, unit: Unit) -> pa.LargeBinaryArray:
    if unit == "line":
        return from_lines(text)
    if unit == "file":
        return from_list([text.rstrip(b"\n")])
    # A piece may begin or end within the blank lines between two paragraphs.
    parts = (part.strip(b"\n") for part in _PARAGRAPH_END.split(text))
    return from_list([part for part in parts if part.strip()])


def _mend(
    text: bytes,
    path: Path,
    offset: int,
    spec: FilesCorpus,
    unit: Unit,
    is_json: bool,
    counts: Counter[str],
) -> bytes:
    """A text that is not UTF-8, after what the corpus says about such."""
    if spec.not_utf8 == "error":
        start, found = first_not_utf8(text)
        raise bad(f"file {path}", "UTF-8 text", f"{found} at offset {offset + start}")
    end = {"line": rb"(\n)", "paragraph": rb"(\n(?:[ \t\r]*\n)+)", "file": rb"(\Z)"}[unit]
    pieces = re.split(end, text)
    for index, piece in enumerate(pieces):
        if is_utf8(piece):
            continue
        if spec.not_utf8 == "replace":
            counts[REPLACED] += 1
            pieces[index] = piece.decode("utf-8", "replace").encode()
            continue
        # A line that is left out stays as a blank one, so that the others keep their index.
        counts[NOT_UTF8] += 1
        if unit != "paragraph":
            counts[BLANK] -= 1
        pieces[index] = json.dumps({spec.column: ""}).encode() if is_json else b""
    return b"".join(pieces)


def _rows(
    text: bytes, path: Path, offset: int, spec: FilesCorpus, counts: Counter[str]
) -> pa.LargeBinaryArray:
    """The column of a piece of jsonl."""
    if not text.strip():
        return from_list([])
    parse = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema([(spec.column, pa.string())]), unexpected_field_behavior="ignore"
    )
    read = pyarrow.json.ReadOptions(block_size=len(text) + 1, use_threads=False)
    where = f"file {path}"
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(text), read_options=read, parse_options=parse
        )
        column = table.column(spec.column).combine_chunks()
        if column.null_count == len(column):
            first = json.loads(text.lstrip().split(b"\n", 1)[0])
            there = ", ".join(map(repr, first)) if isinstance(first, dict) else repr(first)[:80]
            raise bad(where, f"rows with a column {spec.column!r}", f"columns {there}")
        return from_column(column, spec.normalise, counts)
    except InputError:
        raise
    except ValueError as error:  # of Arrow, too
        found = f"{error} (counted from offset {offset})"
        raise bad(where, "a JSON object a line", found) from error
