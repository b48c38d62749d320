"""Minimal pairs: two texts, the first of which a model should find more probable.

A file has one pair per line: `good TAB bad`, or JSON Lines with the fields of BLiMP and MultiBLiMP
(`sentence_good` and `sentence_bad`, `sen` and `wrong_sen`) or `good` and `bad`, and optionally the
kind of the pair (`kind`, `UID` or `phenomenon`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydt.errors import InputError, Problem, bad

_FIELDS = (("sentence_good", "sentence_bad"), ("sen", "wrong_sen"), ("good", "bad"))
_KINDS = ("kind", "UID", "phenomenon")
_SHOWN = 10  # at most this many problems per file


@dataclass(frozen=True)
class Pair:
    """Two different, non-empty texts in UTF-8; `kind` says what they differ in, if known."""

    good: bytes
    bad: bytes
    kind: str = ""


def digest(pairs: Iterable[Pair]) -> str:
    """A digest of a set of pairs, independent of their order."""
    lines = sorted(b"\t".join((pair.good, pair.bad, pair.kind.encode())) for pair in pairs)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file; `InputError` lists the first invalid lines by number."""
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise bad(str(path), "a file of minimal pairs", error.strerror or error) from None
    is_json = path.suffix in (".jsonl", ".json")
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(*(_parse_json(line) if is_json else _parse_tabs(line))))
        except ValueError as error:
            expected, _, got = str(error).partition(", got ")
            problems.append(Problem(f"{path}:{number}", expected, got))
            if len(problems) == _SHOWN:
                break
    if problems:
        raise InputError(problems)
    if not pairs:
        raise bad(str(path), "at least one pair (one `good TAB bad` per line)", "none")
    return pairs


def _parse_tabs(line: bytes) -> Sequence[str]:
    fields = _utf8(line).split("\t")
    if len(fields) != 2:
        raise ValueError(f"`good TAB bad`, got {len(fields)} fields")
    return fields


def _parse_json(line: bytes) -> Sequence[str]:
    try:
        row = json.loads(_utf8(line))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"a JSON object, got {error}") from None
    for names in _FIELDS:
        if isinstance(row, dict) and all(isinstance(row.get(name), str) for name in names):
            kinds = (row[name] for name in _KINDS if isinstance(row.get(name), str))
            return [*(row[name] for name in names), next(kinds, "")]
    wanted = " or ".join(" and ".join(names) for names in _FIELDS)
    raise ValueError(f"an object with the string fields {wanted}, got {str(row)[:80]}")


def _utf8(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        byte = f"byte {line[error.start]:#04x} at {error.start}"
        raise ValueError(f"text in UTF-8, got {byte}") from None


def _pair(good: str, worse: str, kind: str = "") -> Pair:
    good, worse = good.strip(), worse.strip()
    if not good or not worse:
        raise ValueError("two non-empty texts, got an empty one")
    if good == worse:
        raise ValueError("two different texts, got the same text twice")
    try:
        return Pair(good.encode(), worse.encode(), kind.encode().decode())
    except UnicodeEncodeError as error:
        surrogate = f"the lone surrogate \\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"text that UTF-8 can encode, got {surrogate}") from None
