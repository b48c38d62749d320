"""Convert one line of a table of losses to a `LossRow`, and collect all of its problems."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any

from raydt.errors import InputError, Problem
from raydt.losses.declared_sizes import DeclaredSizes
from raydt.losses.problem import LineProblem
from raydt.losses.row import LossRow
from raydt.losses.units import LossUnit
from raydt.tracking import schema
from raydt.units import format_bytes

SCRATCH = "scratch"  # the authors' word for a random initialisation
# Other words for it, which are not names of languages.
_SCRATCH_WORDS = frozenset(
    "scratch none null random randominit fromscratch randominitialisation randominitialization"
    " randominitialised randominitialized randomlyinitialised randomlyinitialized rand randinit"
    " noinit nopretrain nopretraining nopretrained notpretrained untrained baseline".split()
)
# What spreadsheets and programs write for a missing number.
NO_LOSS = frozenset(
    "nan na n/a #n/a <na> none null nil - -- \u2014 ? . missing #div/0! #num! #value! #ref!".split()
)
# Words for a missing name, and what YAML makes of `no`, Norwegian.
_NO_NAMES = frozenset("n/a #n/a <na> #ref! #value! true false".split())
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_POINT_AND_THREE = re.compile(r"[1-9]\d{0,2}\.\d{3}")
_READ_APART = ("test_loss", *schema.BITS)
# What raydt measures of its own cells, beside what they are compared by.
NOT_READ = ("source_loss", "source_loss_rise")
METRICS = {
    name: key for name, key in schema.FINAL_METRICS.items() if name not in (*_READ_APART, *NOT_READ)
}
_LOSSES = ("test_loss", "best_val_loss")
_LANGUAGES = ("init_language", "source", "target")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.]*")


class LineRules:
    """Rules for all lines of a table, with counts of values that were interpreted."""

    def __init__(
        self,
        sizes: DeclaredSizes,
        unit: LossUnit,
        *,
        has_stages: bool = True,
        decimal_commas: bool = False,
    ) -> None:
        self.sizes, self.unit = sizes, unit
        self.has_stages = has_stages  # else source and size say the stage
        self.decimal_commas = decimal_commas  # a point in a size separates thousands
        self.scratch_words: Counter[str] = Counter()
        self.num_decimal_commas = 0

    def notes(self) -> list[str]:
        """Notes on interpreted values; empty if there were none."""
        found = [
            f"{number} rows with source {word!r} were read as {SCRATCH}"
            for word, number in self.scratch_words.items()
        ]
        if self.num_decimal_commas:
            found.append(f"{self.num_decimal_commas} numbers were read with a decimal comma")
        return found


class Line(ABC):
    """One line: its texts by column, and their problems."""

    def __init__(
        self, table: str, unit: str, number: int, texts: Mapping[str, str], rules: LineRules
    ) -> None:
        self._table, self._unit, self._line_number = table, unit, number
        self._texts, self._rules = texts, rules
        self._found: list[Problem] = []

    @property
    def has_no_loss(self) -> bool:
        """Whether the cell is done but its loss is missing."""
        return self._text("test_loss") is None and self._needs_loss

    @property
    def size_label(self) -> str:
        """The size as written."""
        return self._text("data_size") or self._text("size") or ""

    @property
    @abstractmethod
    def _needs_loss(self) -> bool:
        """Whether the line should have a loss."""

    def row(self, problems: list[Problem]) -> LossRow | None:
        """The row, or None after adding its problems to `problems`."""
        values = self._values()
        problems += self._found
        return None if self._found else LossRow(**values)

    def bytes_seen(self, problems: list[Problem]) -> int | None:
        """The bytes seen at an evaluation, or None after adding its problems to `problems`."""
        self._found = []
        seen = self._count("bytes_seen", -1)
        if seen < 0:
            self._bad("bytes_seen", "the bytes trained on so far", "nothing")
        problems += self._found
        return None if self._found else self._rules.unit.num_bytes(seen)

    @abstractmethod
    def _values(self) -> dict[str, Any]:
        """The fields of the row."""

    def _bad(self, name: str, requirement: str, found: object) -> None:
        self._found.append(
            LineProblem(
                f"{self._table} {self._unit} {self._line_number}: {name}",
                requirement,
                str(found),
                table=self._table,
                unit=self._unit,
                number=self._line_number,
                name=name,
            )
        )

    def _text(self, name: str) -> str | None:
        text = self._texts.get(name) or None
        if text is not None and name == "test_loss" and text.lower() in NO_LOSS:
            return None
        return text

    def _name(self, name: str) -> str:
        text = self._text(name)
        if text is None:
            or_scratch = f", or {SCRATCH} if it was not pretrained"
            asked = name == "init_language" or (name == "source" and not self._rules.has_stages)
            self._bad(name, f"a name{or_scratch if asked else ''}", "nothing")
        elif name != "init_language" and is_scratch(text):
            self._bad(name, f"a language ({SCRATCH} is a random initialisation)", repr(text))
        elif not text.isprintable():
            self._bad(name, "a name of printable characters", repr(text))
        elif name in _LANGUAGES and not _is_language(text):
            self._bad(name, f"a language, with a letter, or {SCRATCH}", repr(text))
        return text or ""

    def _count(self, name: str, default: int) -> int:
        text = self._text(name)
        if text is None:
            return default
        try:
            number = float(text)  # pandas writes integers in a column with missing values as 1.0
        except ValueError:
            number = -1.0
        if not (0 <= number < 2**63 and number == int(number)):
            self._bad(name, "an integer from 0 to 2^63 - 1", repr(text))
            return default
        return int(text) if text.isdecimal() else int(number)

    def _number(self, name: str, *, positive: bool) -> float | None:
        text = self._text(name)
        if text is None:
            return None
        plain = text
        if DECIMAL_COMMA.fullmatch(text):
            # Losses are small, so a separator is not one of thousands.
            plain = text.replace(",", ".")
            self._rules.num_decimal_commas += 1
        try:
            number = float(plain)
        except ValueError:
            number = math.nan
        if name in _LOSSES:
            number = self._rules.unit.nats(number)
        if not math.isfinite(number) or number < 0 or (positive and number == 0):
            shown = {"test_loss": "loss"}.get(name, name)
            unit = self._rules.unit
            least = "1" if unit.unit == "perplexity" else "0"
            what = f"{unit}, more than {least}, or nothing if it is missing"
            self._bad(shown, what if shown == "loss" else "a number of at least 0", repr(text))
            return None
        return number

    def _without_points(self, name: str, text: str) -> str:
        """A number such as 600.000 without its point, if that separates thousands."""
        if text in self._rules.sizes.overrides or not _POINT_AND_THREE.fullmatch(text):
            return text
        whole = text.replace(".", "")
        if not self._rules.decimal_commas:
            requirement = f"{whole}, or {text.rstrip('0').rstrip('.')} if that is meant"
            self._bad(name, requirement, f"{text!r}, whose point may separate thousands")
        return whole

    def _bytes_of(self, label: str) -> int:
        plain = self._without_points("size", label)
        try:
            return self._rules.unit.num_bytes(self._rules.sizes.num_bytes(plain))
        except InputError as error:
            for problem in error.problems:
                self._bad("size", problem.expected, problem.got)
            return 0


def is_scratch(text: str) -> bool:
    return re.sub(r"[\s_-]", "", text).lower() in _SCRATCH_WORDS


def _is_language(text: str) -> bool:
    return any(map(str.isalpha, text)) and text.lower() not in _NO_NAMES


def label_of(text: str, size_bytes: int) -> str:
    """A size as used in names of cells: as written, if that is possible."""
    return text if _LABEL.fullmatch(text) else format_bytes(size_bytes)
