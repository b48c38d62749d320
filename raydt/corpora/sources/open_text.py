"""A text file as a stream of UTF-8, whatever its compression and encoding."""

from __future__ import annotations

import codecs
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

from raydt.corpora.options import UTF8, Compression
from raydt.corpora.sources.formats import compression
from raydt.corpora.sources.signatures import (
    LOOKED_AT_BYTES,
    other_encoding,
    other_than_text,
    pointer,
)
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad

_READ_BYTES = 2**22
_NO_CHARACTER = b"\xff"  # replaces undecodable bytes; the corpus's options decide about them
_MARK = "raydt-mark"
_BEGINNINGS: dict[Compression, bytes] = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0"}


class Stream(Protocol):
    """A readable stream."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""


class Text:
    """The text of a file from its beginning, as UTF-8 if it is valid."""

    def __init__(self, stream: Stream, file: IO[bytes]) -> None:
        self._stream, self._file = stream, file
        self._is_plain = stream is file
        self._head = stream.read(LOOKED_AT_BYTES)

    @property
    def head(self) -> bytes:
        """Its first bytes; call it before reading."""
        return self._head

    def read(self, size: int) -> bytes:
        """About the next `size` bytes; empty at the end."""
        if not self._head:
            return self._stream.read(size)
        head, self._head = self._head[:size], self._head[size:]
        return head if self._head else head + self._stream.read(size - len(head))

    def skip(self, num_bytes: int) -> None:
        """Skip the next bytes."""
        while num_bytes:
            piece = self.read(min(num_bytes, _READ_BYTES))
            if not piece:
                return
            self._head = piece[num_bytes:] + self._head
            num_bytes -= min(num_bytes, len(piece))

    @property
    def num_bytes_read(self) -> int:
        """Bytes read of the file as stored."""
        return self._file.tell() - (len(self._head) if self._is_plain else 0)


@contextmanager
def open_text(path: Path, spec: FilesCorpus, start: int = 0) -> Iterator[Text]:
    """The text of a file from byte `start` of the text on, as UTF-8; invalid bytes stay invalid.

    Raises `InputError` for an unreadable file, a broken archive, and for what is not text.
    """
    where = f"file {path}"
    try:
        with path.open("rb") as file:
            found = pointer(file.read(100))
            if found:
                raise bad(where, "text", found)
            file.seek(0)
            packed = compression(path)
            _check_is_packed(path, packed)
            plain = packed is None and spec.encoding == UTF8
            if plain and start:
                file.seek(start)
                yield Text(file, file)
                return
            stream: Stream = file
            if packed == "xz":
                stream = lzma.LZMAFile(file)  # noqa: SIM115 - the file is closed
            elif packed:
                stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), packed)
            if spec.encoding != UTF8:
                stream = _Decoded(stream, spec.encoding)
            text = Text(stream, file)
            found = other_than_text(text.head) or other_encoding(text.head)
            if found:
                raise bad(where, "text in UTF-8", f"{found}")
            text.skip(start)
            yield text
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise bad(where, "a complete, readable file", reason) from error


def _check_is_packed(path: Path, packed: Compression | None) -> None:
    """Check that a file starts as the compression in its name requires."""
    if packed not in _BEGINNINGS:
        return
    with path.open("rb") as file:
        head = file.read(len(_BEGINNINGS[packed]))
    if head and head != _BEGINNINGS[packed]:
        found = "other bytes (it may be packed differently or not at all: rename it)"
        raise bad(f"file {path}", f"{packed}, as in its name", found)


def line_number(path: Path, spec: FilesCorpus, offset: int) -> int:
    """The line, from 1, of the byte at `offset` of a text. Reads everything before it."""
    num_lines, left = 1, offset
    with open_text(path, spec) as text:
        while left > 0 and (piece := text.read(_READ_BYTES)):
            num_lines += piece[:left].count(b"\n")
            left -= len(piece)
    return num_lines


class _Decoded:
    """A stream in another encoding as UTF-8; invalid characters become invalid UTF-8."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_MARK)
        self._has_ended = False

    def read(self, size: int, /) -> bytes:
        """About the next `size` bytes; empty at the end."""
        while not self._has_ended:
            piece = self._stream.read(size)
            self._has_ended = not piece
            text = self._decoder.decode(piece, self._has_ended)
            if text:
                return text.encode(UTF8, _MARK)
        return b""


def _mark(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\ud800", error.end  # a lone surrogate, which is invalid in UTF-8
    assert isinstance(error, UnicodeEncodeError)
    return _NO_CHARACTER * (error.end - error.start), error.end


codecs.register_error(_MARK, _mark)
