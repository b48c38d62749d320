"""The bytes of the size labels in an imported table of losses: declared, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from raydt.errors import InputError, Problem
from raydt.units import parse_bytes

# True bytes of the published grid (NAACL 2024, arXiv 2404.08191); 0M is zeroshot.
PUBLISHED_BYTES: Mapping[str, int] = {
    "0M": 0,
    "6M": 6_815_744,
    "19M": 19_398_656,
    "60M": 60_817_408,
    "189M": 189_267_968,
    "600M": 600_834_048,
    "6B": 6_001_000_448,
}
TABLES = ("published", "nominal")
# Numbers such as 19,398,656: groups of three with the same separator. A single point is a decimal
# one.
_GROUPED = re.compile(r"\d{1,3}(?:([,'’_\u00a0\u202f ])\d{3}(?:\1\d{3})*|(?:\.\d{3}){2,})")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:[eE]\+?(\d{1,2}))?")
_POWER = re.compile(r"(?:(\d+(?:[.,]\d+)?)\s*[x*×·]\s*)?10(?:\^|\*\*)(\d{1,2})")
_COMMA_AND_POWER = re.compile(r"(\d+),(\d+)([eE]\+?\d{1,2})")
_DECIMAL_COMMA = re.compile(r"(\d+),(\d+)\s*([A-Za-z]+)")
_BILLION = re.compile(r"\d+(?:[.,]\d+)?\s*B")
_UNITS = {"k": "k", "m": "M", "g": "G", "t": "T", "kb": "k", "mb": "M", "gb": "G", "tb": "T"}
_UNITS |= {"thousand": "k", "million": "M", "mio": "M", "mln": "M", "billion": "G", "bn": "G"}
_UNITS |= {"kib": "KiB", "mib": "MiB", "gib": "GiB"}
_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


class DeclaredSizes:
    """Bytes by label: those of the published grid or nominal ones (6M: 6,000,000), with overrides.

    `words` has at most one of `TABLES`, and any number of LABEL=BYTES, which take precedence.
    `default` is the table if no word names one. Raises `InputError` with every other word.
    """

    def __init__(self, words: Sequence[str], default: str) -> None:
        problems: list[Problem] = []
        self.overrides: dict[str, int] = {}
        tables = [word for word in words if word in TABLES]
        if len(set(tables)) > 1:
            problems.append(Problem("--sizes", "one table", " and ".join(tables)))
        self.table = tables[0] if tables else default
        for word in words:
            if word in TABLES:
                continue
            label, equals, value = word.rpartition("=")
            if not equals or not label.strip():
                requirement = f"{' or '.join(TABLES)}, or LABEL=BYTES"
                problems.append(Problem("--sizes", requirement, repr(word)))
                continue
            try:
                num_bytes = read_size(value)
            except InputError as error:
                problems += error.problems
                continue
            if self.overrides.setdefault(label, num_bytes) != num_bytes:
                problems.append(Problem(f"size {label}", "one number of bytes", repr(word)))
        if problems:
            raise InputError(problems)

    def num_bytes(self, label: str) -> int:
        """The bytes of a label; `InputError` if its table does not have it."""
        if label in self.overrides:
            return self.overrides[label]
        plain = _plain_number(label)
        if self.table == "published":
            if label in PUBLISHED_BYTES:
                return PUBLISHED_BYTES[label]
            if plain is not None:
                return plain  # a plain number of bytes, in any table
            known = ", ".join(PUBLISHED_BYTES)
            requirement = (
                f"a size of the published grid ({known}), --sizes nominal, or --size {label}=BYTES"
            )
            raise InputError([Problem("size", requirement, repr(label))])
        if _BILLION.fullmatch(label):
            # B is a billion in the published grid and a byte elsewhere: do not guess.
            requirement = f"an unambiguous label, or --size {label}=BYTES"
            raise InputError([Problem("size", requirement, repr(label))])
        if plain is not None:
            return plain
        try:
            return read_size(label)
        except InputError as error:
            (problem,) = error.problems
            requirement = f"{problem.expected} (or declare it by --size {label}=BYTES)"
            raise InputError([Problem("size", requirement, repr(label))]) from None

    def __str__(self) -> str:
        overrides = (f"{label}={num_bytes}" for label, num_bytes in self.overrides.items())
        return ", ".join([self.table, *overrides])


def read_size(text: str) -> int:
    """The bytes of a size in any usual notation: 6e6, 19,398,656, 6.5 MB, 2GiB; `InputError` for
    anything else."""
    text = re.sub(r"\s*\bbytes?$", "", text.strip(), flags=re.IGNORECASE)
    plain = _plain_number(text)
    if plain is not None:
        return plain
    comma = _DECIMAL_COMMA.fullmatch(text)
    if comma:
        text = f"{comma[1]}.{comma[2]}{comma[3]}"
    match = _WITH_UNIT.fullmatch(text)
    if match and match[2].lower() in _UNITS:
        text = f"{match[1]}{_UNITS[match[2].lower()]}"
    return parse_bytes(text)


def _plain_number(text: str) -> int | None:
    """A whole number of bytes without a unit; None for anything else."""
    text = text.strip()
    if power := _POWER.fullmatch(text):
        text = f"{power[1] or 1}e{power[2]}".replace(",", ".")
    if comma := _COMMA_AND_POWER.fullmatch(text):
        text = f"{comma[1]}.{comma[2]}{comma[3]}"
    if _GROUPED.fullmatch(text):
        return int(re.sub(r"\D", "", text))
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number = Fraction(match[1]) * 10 ** int(match[2] or 0)
    return int(number) if number.denominator == 1 else None
