"""Recognise files that are named like text but are not, by their first bytes."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

LOOKED_AT_BYTES = 2**16
_POINTERS = {
    b"version https://git-lfs.github.com/spec": "a Git LFS pointer instead of the file "
    "(`git lfs pull` downloads it)",
    b"/annex/objects/": "a git-annex pointer instead of the file (`git annex get` downloads it)",
    b"../.git/annex/": "a git-annex pointer instead of the file (`git annex get` downloads it)",
}
_KINDS = {
    b"\x1f\x8b": "gzip (its name lacks .gz)",
    b"\x28\xb5\x2f\xfd": "zstd (its name lacks .zst)",
    b"BZh": "bzip2 (its name lacks .bz2)",
    b"\xfd7zXZ\0": "xz (its name lacks .xz)",
    b"\x04\x22\x4d\x18": "lz4 (its name lacks .lz4)",
    b"PK\x03\x04": "a zip archive, or an office document: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a rar archive: unpack it",
    b"PAR1": "parquet (its name lacks .parquet)",
    b"ARROW1": "an Arrow file: convert it to parquet",
    b"%PDF-": "a PDF",
    b"{\\rtf": "RTF, a word processor's format",
    b"SQLite format 3\0": "a SQLite database",
    b"\x7fELF": "a program",
    b"\x89PNG": "an image",
    b"\x93NUMPY": "a NumPy array",
    b"\xff\xfe\0\0": "UTF-32 (?encoding=utf-32 reads it)",
    b"\0\0\xfe\xff": "UTF-32 (?encoding=utf-32 reads it)",
    b"\xff\xfe": "UTF-16 (?encoding=utf-16 reads it)",
    b"\xfe\xff": "UTF-16 (?encoding=utf-16 reads it)",
}
_TAR_AT = 257
_FEW_CONTROLS = 8  # allowed in any text; longer texts may have one in a thousand bytes
# By the escape sequence that selects a character set.
_ISO_2022 = {b"\x1b$)C": "iso2022_kr", b"\x1b$": "iso2022_jp", b"\x1b(": "iso2022_jp"}
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_WIDE_BYTES = 2**12
_PART_BYTES = 2**17
_MOSTLY = 0.9
_IS_CONTROL = np.zeros(256, dtype=bool)
_IS_CONTROL[[*range(0x09), *range(0x0E, 0x1C), 0x7F]] = True
_UTF7 = re.compile(rb"\+([A-Za-z0-9+/]{3,})-?")
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){1,60}~\}")


def pointer(head: bytes) -> str | None:
    """The kind of pointer to a file that starts with `head`; None if it is not a pointer."""
    for beginning, kind in _POINTERS.items():
        if head.startswith(beginning):
            return kind
    return None


def other_than_text(head: bytes) -> str | None:
    """The kind of a file that starts with `head`, if it is not text."""
    for beginning, kind in _KINDS.items():
        if head.startswith(beginning):
            return kind
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive: unpack it"
    return pointer(head)


def other_encoding(head: bytes) -> str | None:
    """The 7-bit encoding of a text that would otherwise pass for ASCII, if any."""
    if max(head, default=0) >= 0x80:
        return None
    if 5 * sum(len(match[0]) for match in _HZ.finditer(head)) >= len(head) > 0:
        return "HZ (?encoding=hz reads it)"
    shifted = [match for match in _UTF7.finditer(head) if _is_shifted(match[1])]
    if len(shifted) > 1 and 5 * sum(len(match[0]) for match in shifted) >= len(head):
        return "UTF-7 (?encoding=utf-7 reads it)"
    return None


def control_bytes(data: NDArray[np.uint8]) -> str | None:
    """A description of bytes (N,) of text with more than a trace of control bytes, else None."""
    # Almost no text has any, which two fast passes show.
    if not len(data) or (int(data.min()) > 0x08 and not _has_shifts(data)):
        return None
    num = int(np.count_nonzero(_IS_CONTROL[data]))
    if num <= max(_FEW_CONTROLS, len(data) // 1000):
        return None
    num_nul = int(np.count_nonzero(data == 0))
    if num_nul > num // 2:
        return f"{num_nul} NUL bytes of {len(data)}{_as_wide(data)}"
    head = data[:LOOKED_AT_BYTES].tobytes()
    if b"\x1b[" in head:
        return f"{num} control bytes of {len(data)}, such as terminal colours"
    for sign, name in _ISO_2022.items():
        if sign in head:
            return (
                f"{num} control bytes of {len(data)}, as ISO-2022 has (?encoding={name} reads it)"
            )
    return f"{num} control bytes of {len(data)}{_as_wide(data)}"


def _has_shifts(data: NDArray[np.uint8]) -> bool:
    """Whether any byte is between 0x0E and 0x1B, in parts that stay in the CPU's cache."""
    moved = np.empty(min(len(data), _PART_BYTES), dtype=np.uint8)
    for start in range(0, len(data), _PART_BYTES):
        part = data[start : start + _PART_BYTES]
        # Below 0x0E the subtraction wraps around to the largest numbers.
        if int(np.subtract(part, np.uint8(0x0E), out=moved[: len(part)]).min()) < 0x0E:
            return True
    return False


def _as_wide(data: NDArray[np.uint8]) -> str:
    """A hint if the bytes are text with two or four bytes per character: one of these encodings
    decodes almost all of it, with some spaces and line ends."""
    best, most = "", 0.0
    for name in _WIDE:
        text = data[:_WIDE_BYTES].tobytes().decode(name, "replace")
        if sum(map(_is_letter, text)) < _MOSTLY * len(text):
            continue
        share = (sum(map(str.isspace, text)) + 1) / len(text)
        if share > most:
            best, most = name, share
    return f", as {best[:6].upper()} has (?encoding={best} reads it)" if best else ""


def _is_letter(character: str) -> bool:
    """Whether it is a letter, mark, number, punctuation or space, as in correctly decoded text."""
    return character in "\t\n\r\f\ufeff" or unicodedata.category(character)[0] in "LMNPSZ"


def _is_shifted(letters: bytes) -> bool:
    """Whether base64 letters encode UTF-16 with characters outside ASCII."""
    try:
        data = base64.b64decode(letters + b"=" * (-len(letters) % 4))
        text = data[: len(data) // 2 * 2].decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return bool(text) and all(ord(letter) >= 0x80 or not letter.isalnum() for letter in text)
