"""Minimal pairs: two texts of which a model should find the first more probable.

A file of them is `good TAB bad`, a pair a line, or JSON lines with the fields of BLiMP and
MultiBLiMP (`sentence_good` and `sentence_bad`, `sen` and `wrong_sen`) or `good` and `bad`, and what
a pair is about (`kind`, or `UID` and `phenomenon` as these have it).
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
_SHOWN = 10  # problems of one file


@dataclass(frozen=True)
class Pair:
    """Two texts in UTF-8, none of them empty, that differ; `kind`: in what, if it is known."""

    good: bytes
    bad: bytes
    kind: str = ""


def digest(pairs: Iterable[Pair]) -> str:
    """Tells sets of pairs from each other; their order does not count."""
    lines = sorted(b"\t".join((pair.good, pair.bad, pair.kind.encode())) for pair in pairs)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file; `InputError` with the first lines that are none, by number."""
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
            pairs.append(_pair(*(_of_json(line) if is_json else _of_tabs(line))))
        except ValueError as error:
            expected, _, got = str(error).partition(", got ")
            problems.append(Problem(f"{path}:{number}", expected, got))
            if len(problems) == _SHOWN:
                break
    if problems:
        raise InputError(problems)
    if not pairs:
        raise bad(str(path), "at least one pair, `good TAB bad` a line", "none")
    return pairs


def _of_tabs(line: bytes) -> Sequence[str]:
    fields = _utf8(line).split("\t")
    if len(fields) != 2:
        raise ValueError(f"good TAB bad, got {len(fields)} fields")
    return fields


def _of_json(line: bytes) -> Sequence[str]:
    try:
        row = json.loads(_utf8(line))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"a JSON object, got {error}") from None
    for names in _FIELDS:
        if isinstance(row, dict) and all(isinstance(row.get(name), str) for name in names):
            kinds = (row[name] for name in _KINDS if isinstance(row.get(name), str))
            return [*(row[name] for name in names), next(kinds, "")]
    wanted = ", or ".join(" and ".join(names) for names in _FIELDS)
    raise ValueError(f"an object with the texts {wanted}, got {str(row)[:80]}")


def _utf8(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        found = f"byte {line[error.start]:#04x} at {error.start}"
        raise ValueError(f"text in UTF-8, got {found}") from None


def _pair(good: str, worse: str, kind: str = "") -> Pair:
    good, worse = good.strip(), worse.strip()
    if not good or not worse:
        raise ValueError("two texts, got an empty one")
    if good == worse:
        raise ValueError("two texts that differ, got the same twice")
    try:
        return Pair(good.encode(), worse.encode(), kind.encode().decode())
    except UnicodeEncodeError as error:
        found = f"half a surrogate, \\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"text that UTF-8 has, got {found}") from None
