"""The options after the question mark of a corpus."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args
from urllib.parse import unquote

from raydt.errors import Problem

Unit: TypeAlias = Literal["line", "paragraph", "file"]
NotUtf8: TypeAlias = Literal["error", "replace", "skip"]
OddRows: TypeAlias = Literal["error", "skip"]
Lists: TypeAlias = Literal["error", "join"]
Format: TypeAlias = Literal["txt", "jsonl", "tsv", "csv", "conllu", "parquet"]
Compression: TypeAlias = Literal["gzip", "zstd", "bz2", "xz", "lz4"]
Normalisation: TypeAlias = Literal["none", "NFC", "NFKC", "NFD", "NFKD"]
Aligned: TypeAlias = Literal["no", "yes"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "documents": get_args(Unit),
    "format": get_args(Format),
    "not_utf8": get_args(NotUtf8),
    "odd_rows": get_args(OddRows),
    "lists": get_args(Lists),
    "normalise": get_args(Normalisation),
    "aligned": get_args(Aligned),
}
_SHARES = (0.01, 0.45)
_SHARE_RANGE = f"a number from {_SHARES[0]:g} to {_SHARES[1]:g}"
_INTEGERS = {
    "field": re.compile(r"[1-9][0-9]{0,3}"),
    "split_seed": re.compile(r"[0-9]{1,18}"),
    "excerpt_bytes": re.compile(r"0|[1-9][0-9]{2,8}"),  # shorter excerpts are hardly text
}
_INTEGER_RANGES = {
    "field": "a number of at least 1",
    "split_seed": "a number of at least 0",
    "excerpt_bytes": "0, or 100 or more",
}
UTF8 = "utf-8"
# Encodings of host names, and one that fails for all text: no file has them.
_NOT_FOR_FILES = ("idna", "punycode", "undefined")


def read_options(
    query: str, allowed: Sequence[str]
) -> tuple[dict[str, str | int | float], list[Problem]]:
    """Parse `name=value&name=value` with the allowed names; returns the values, and all
    problems."""
    options: dict[str, str | int | float] = {}
    problems = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        value = unquote(value)
        if name not in allowed:
            problems.append(Problem("corpus option", f"one of {', '.join(allowed)}", repr(part)))
        elif not value:
            problems.append(Problem(f"corpus option {name}", "a value", repr(part)))
        elif name in options:
            problems.append(Problem(f"corpus option {name}", "it once", repr(part)))
        elif value not in _CHOICES.get(name, (value,)):
            requirement = f"one of {', '.join(_CHOICES[name])}"
            problems.append(Problem(f"corpus option {name}", requirement, repr(value)))
        elif name in _INTEGERS:
            if _INTEGERS[name].fullmatch(value):
                options[name] = int(value)
            else:
                problems.append(
                    Problem(f"corpus option {name}", _INTEGER_RANGES[name], repr(value))
                )
        elif name == "encoding":
            encoding = _read_encoding(value)
            if encoding is None:
                requirement = "a text encoding of Python, such as utf-16-le or cp1251"
                problems.append(Problem(f"corpus option {name}", requirement, repr(value)))
            else:
                options[name] = encoding
        elif name.endswith("_share"):
            share = _read_share(value)
            if share is None:
                problems.append(Problem(f"corpus option {name}", _SHARE_RANGE, repr(value)))
            else:
                options[name] = share
        else:
            options[name] = value
    return options, problems


def _read_encoding(name: str) -> str | None:
    """Python's name of the encoding; None if it is unknown, or not a text encoding (base64)."""
    try:
        encoding = codecs.lookup(name).name
        "".encode(encoding)
    except (LookupError, ValueError):
        return None
    if encoding in _NOT_FOR_FILES:
        return None
    return UTF8 if encoding == "utf-8-sig" else encoding


def _read_share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if _SHARES[0] <= share <= _SHARES[1] else None
