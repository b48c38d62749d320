"""Parsing and formatting of sizes in bytes and of durations.

k, M and G are powers of ten (6M = 6,000,000 bytes); KiB, MiB and GiB are powers of two. A label
is only a name: a sweep may declare that "6M" means 6,815,744 bytes (`6M=6815744`). All computations
use the bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from raydt.errors import bad

_FACTORS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
# Common unambiguous variants.
_SPELLINGS = {"K": "k", "kB": "k", "KB": "k", "MB": "M", "GB": "G", "TB": "T", "B": ""}
_SIZE = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s*([A-Za-z]*)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.]*")


@dataclass(frozen=True, order=True)
class Size:
    """A rung of a ladder: its true size in bytes, and its label."""

    num_bytes: int
    label: str

    def __str__(self) -> str:
        return self.label


def parse_bytes(text: str) -> int:
    """The bytes of "8k", "1.5M", "6_815_744" or "2GiB"; `InputError` for anything else."""
    match = _SIZE.fullmatch(text.strip())
    unit = _SPELLINGS.get(match[2], match[2]) if match else ""
    if match is None or unit not in _FACTORS:
        raise bad("size", "a number of bytes such as 8k, 1.5M, 6815744 or 2GiB", repr(text))
    number = match[1].replace("_", "")
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    num_bytes, remainder = divmod(int(whole + fraction) * _FACTORS[unit], scale)
    if remainder:
        raise bad("size", "a whole number of bytes", repr(text))
    return num_bytes


def parse_seconds(text: str) -> float:
    """The seconds of "90s", "30m", "1.5h" or "2d"; `InputError` for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise bad("duration", "a time such as 90s, 30m, 1.5h or 2d", repr(text))
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> Size:
    """A size such as "32k", or a label with its true bytes such as "6M=6815744"."""
    label, equals, value = text.partition("=")
    if not equals:
        num_bytes = parse_bytes(text)
        return Size(num_bytes, format_bytes(num_bytes))
    if not _LABEL.fullmatch(label):
        raise bad("size label", "letters, digits and dots", repr(label))
    return Size(parse_bytes(value), label)


def format_bytes(num_bytes: int) -> str:
    """The shortest exact label: 32000 -> "32k", 6815744 -> "6815744"; inverse of `parse_bytes`."""
    for unit in ("T", "G", "M", "k"):
        factor = _FACTORS[unit]
        if num_bytes and num_bytes % factor == 0:
            return f"{num_bytes // factor}{unit}"
    return str(num_bytes)


def approximate_bytes(num_bytes: float) -> str:
    """Three significant digits, with the sign: 131_942 -> "132k", -1234.5 -> "-1.23k"."""
    magnitude = abs(num_bytes)
    for unit in ("T", "G", "M", "k"):
        # Round to three digits first, so that 999_999 becomes 1M and not 1000k.
        if float(f"{magnitude:.3g}") >= _FACTORS[unit]:
            return f"{num_bytes / _FACTORS[unit]:.3g}{unit}"
    return f"{num_bytes:.3g}"
