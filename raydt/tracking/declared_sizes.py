"""What the labels of somebody's table of losses mean in bytes: a declared table, never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raydt.errors import InputError, Problem
from raydt.units import parse_bytes, parse_size

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


class DeclaredSizes:
    """Bytes by label: of the published grid, or what a label names (6M: 6,000,000), with overrides.

    `words`: at most one of `TABLES`, and any number of LABEL=BYTES, which win; `default` is the
    table where no word names one. `InputError` with every word that is neither.
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
            label, equals, _ = word.partition("=")
            if not equals:
                requirement = f"{' or '.join(TABLES)}, or LABEL=BYTES"
                problems.append(Problem("--sizes", requirement, repr(word)))
                continue
            try:
                num_bytes = parse_size(word).num_bytes
            except InputError as error:
                problems += error.problems
                continue
            if self.overrides.setdefault(label, num_bytes) != num_bytes:
                problems.append(Problem(f"size {label}", "one number of bytes", repr(word)))
        if problems:
            raise InputError(problems)

    def num_bytes(self, label: str) -> int:
        """The bytes of a label; `InputError` if its table has none for it."""
        if label in self.overrides:
            return self.overrides[label]
        if self.table == "published":
            if label not in PUBLISHED_BYTES:
                known = ", ".join(PUBLISHED_BYTES)
                requirement = f"one of the published grid ({known}), or --size {label}=BYTES"
                raise InputError([Problem("size", requirement, repr(label))])
            return PUBLISHED_BYTES[label]
        if label.endswith("B") and label[:-1].isdigit():
            # The published grid's B is a billion, elsewhere B is a byte: asked for, not guessed.
            requirement = f"a label that means one thing, or --size {label}=BYTES"
            raise InputError([Problem("size", requirement, repr(label))])
        return parse_bytes(label)

    def __str__(self) -> str:
        overrides = (f"{label}={num_bytes}" for label, num_bytes in self.overrides.items())
        return ", ".join([self.table, *overrides])
