"""A file of text as a stream of UTF-8, whatever it is packed and encoded in."""

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
_NO_CHARACTER = b"\xff"  # in place of what an encoding does not know; the corpus says what of it
_MARK = "raydt-mark"
_BEGINNINGS: dict[Compression, bytes] = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0"}


class Stream(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""


class Text:
    """The text of a file from its beginning on, as UTF-8 where it is right."""

    def __init__(self, stream: Stream, file: IO[bytes]) -> None:
        self._stream, self._file = stream, file
        self._is_plain = stream is file
        self._head = stream.read(LOOKED_AT_BYTES)

    @property
    def head(self) -> bytes:
        """Its first bytes; before anything is read."""
        return self._head

    def read(self, size: int) -> bytes:
        """The next bytes, more or less so many; none at the end."""
        if not self._head:
            return self._stream.read(size)
        head, self._head = self._head[:size], self._head[size:]
        return head if self._head else head + self._stream.read(size - len(head))

    def skip(self, num_bytes: int) -> None:
        """Pass over the next bytes."""
        while num_bytes:
            piece = self.read(min(num_bytes, _READ_BYTES))
            if not piece:
                return
            self._head = piece[num_bytes:] + self._head
            num_bytes -= min(num_bytes, len(piece))

    @property
    def num_bytes_read(self) -> int:
        """Of the file as it is stored."""
        return self._file.tell() - (len(self._head) if self._is_plain else 0)


@contextmanager
def open_text(path: Path, spec: FilesCorpus, start: int = 0) -> Iterator[Text]:
    """The text of a file from byte `start` of it on, as UTF-8; what it is not stays broken.

    `InputError` for a file that cannot be read, a broken archive, and what is no text.
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
        raise bad(where, "a whole file that can be read", reason) from error


def _check_is_packed(path: Path, packed: Compression | None) -> None:
    """That a file begins as its name says it is packed."""
    if packed not in _BEGINNINGS:
        return
    with path.open("rb") as file:
        head = file.read(len(_BEGINNINGS[packed]))
    if head and head != _BEGINNINGS[packed]:
        found = "other bytes; it may be packed otherwise, or not at all: rename it"
        raise bad(f"file {path}", f"{packed}, as its name says", found)


def line_number(path: Path, spec: FilesCorpus, offset: int) -> int:
    """The line, counted from 1, in which the byte at `offset` of a text is. Reads all before it."""
    num_lines, left = 1, offset
    with open_text(path, spec) as text:
        while left > 0 and (piece := text.read(_READ_BYTES)):
            num_lines += piece[:left].count(b"\n")
            left -= len(piece)
    return num_lines


class _Decoded:
    """A stream in another encoding as UTF-8; what is no character there is none in UTF-8."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_MARK)
        self._has_ended = False

    def read(self, size: int, /) -> bytes:
        """The next bytes, more or less so many; none at the end."""
        while not self._has_ended:
            piece = self._stream.read(size)
            self._has_ended = not piece
            text = self._decoder.decode(piece, self._has_ended)
            if text:
                return text.encode(UTF8, _MARK)
        return b""


def _mark(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\ud800", error.end  # a surrogate alone, which UTF-8 cannot have
    assert isinstance(error, UnicodeEncodeError)
    return _NO_CHARACTER * (error.end - error.start), error.end


codecs.register_error(_MARK, _mark)
