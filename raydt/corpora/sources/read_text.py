"""Text files as blocks of documents: .txt by line, paragraph or file, and .jsonl by row."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from raydt.corpora.options import UTF8, Unit
from raydt.corpora.sources.documents import (
    BLANK,
    NOT_UTF8,
    NUL,
    NUL_BYTES,
    REPLACED,
    Block,
    first_not_utf8,
    from_lines,
    from_list,
    is_utf8,
    normalised,
)
from raydt.corpora.sources.open_text import line_number, open_text
from raydt.corpora.sources.read_json import empty_row, read_rows
from raydt.corpora.sources.signatures import control_bytes
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad

_BLOCK_BYTES = 2**22
_PARAGRAPH_END = re.compile(rb"\n(?:[ \t\r]*\n)+")
# Up to the first line of a paragraph. Another cut between two paragraphs could fall between two
# blank lines, and documents would then depend on where blocks end.
_PARAGRAPH_BEGIN = re.compile(rb"\n[ \t\r]*\n(?=[ \t\r]*[^ \t\r\n])")
_TAIL_BYTES = 2**14


def read_text(
    path: Path, spec: FilesCorpus, start: int, is_json: bool, block_bytes: int | None = None
) -> Iterator[Block]:
    """The documents of a file from byte `start` of its text on: lines, or rows of JSON.

    Raises `InputError` for what is not text (with the line, and the offset in the decompressed and
    decoded text), a broken archive, or rows without the column.
    """
    unit: Unit = "line" if is_json else spec.documents
    for offset, piece, num_bytes_read in _pieces(path, spec, unit, start, block_bytes):
        counts: Counter[str] = Counter()
        text = piece.removeprefix(codecs.BOM_UTF8) if offset == 0 else piece
        end = offset + len(piece)
        _check_is_text(text, path)
        if not is_utf8(text):
            text = _mend(text, path, end - len(text), spec, unit, is_json, counts)
        if is_json:
            documents = read_rows(text, path, offset, spec, counts)
        else:
            text = normalised(_clean(text, counts), spec.normalise)
            documents = _split(text, unit)
        yield Block(documents, {"offset": end}, num_bytes_read, counts)


def _pieces(
    path: Path, spec: FilesCorpus, unit: Unit, start: int, block_bytes: int | None
) -> Iterator[tuple[int, bytes, int]]:
    """Yield pieces that end where documents do: offset, bytes, and bytes read of the file."""
    offset = start
    held: list[bytes] = []  # a document longer than a block is joined only once
    with open_text(path, spec, start) as text:
        while piece := text.read(block_bytes or _BLOCK_BYTES):
            cut = _last_begin(piece, unit)
            if not cut:
                held.append(piece)
                continue
            whole = b"".join([*held, piece[:cut]])
            held = [piece[cut:]]
            yield offset, whole, text.num_bytes_read
            offset += len(whole)
        whole = b"".join(held)
        if whole:
            yield offset, whole, text.num_bytes_read


def _last_begin(piece: bytes, unit: Unit) -> int:
    """The offset of the last document that begins in a piece; 0 if none does."""
    if unit == "line":
        return piece.rfind(b"\n") + 1
    if unit == "file":
        return 0
    for start in (max(0, len(piece) - _TAIL_BYTES), 0):
        last = max((match.end() for match in _PARAGRAPH_BEGIN.finditer(piece, start)), default=0)
        if last:
            return last
    return 0


def _check_is_text(text: bytes, path: Path) -> None:
    found = control_bytes(np.frombuffer(text, dtype=np.uint8))
    if found is not None:
        raise bad(f"file {path}", "text in UTF-8 (?encoding=NAME reads another)", found)


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
    """Apply the options for invalid text to a text that is not UTF-8."""
    if spec.not_utf8 == "error":
        start, found = first_not_utf8(text)
        at = offset + start
        line = line_number(path, spec, at)
        if spec.encoding != UTF8:
            requirement = f"text in {spec.encoding}"
            found = "undecodable bytes"
        else:
            requirement = "UTF-8 text"
        raise bad(
            f"file {path}",
            f"{requirement} (?encoding=NAME reads another encoding, ?not_utf8=replace or skip "
            "handles invalid text)",
            f"{found} in line {line}, at offset {at}",
        )
    end = {"line": rb"(\n)", "paragraph": rb"(\n(?:[ \t\r]*\n)+)", "file": rb"(\Z)"}[unit]
    pieces = re.split(end, text)
    for index, piece in enumerate(pieces):
        if is_utf8(piece):
            continue
        if spec.not_utf8 == "replace":
            counts[REPLACED] += 1
            pieces[index] = piece.decode("utf-8", "replace").encode()
            continue
        # An omitted line stays as a blank one, so that the others keep their index.
        counts[NOT_UTF8] += 1
        if unit != "paragraph":
            counts[BLANK] -= 1
        pieces[index] = empty_row(spec) if is_json else b""
    return b"".join(pieces)
