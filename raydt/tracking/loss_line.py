"""Convert one line of a table of losses to a `LossRow`, and collect all of its problems."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any

from raydt.errors import InputError, Problem
from raydt.tracking import schema
from raydt.tracking.declared_sizes import DeclaredSizes, read_size
from raydt.tracking.loss_problem import LineProblem
from raydt.tracking.loss_row import LossRow
from raydt.tracking.loss_units import LossUnit
from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import format_bytes

SCRATCH = "scratch"  # the authors' word for a random initialisation
# Other words for it, which are not names of languages.
_SCRATCH_WORDS = frozenset(
    "scratch none null random randominit fromscratch randominitialisation randominitialization"
    " randominitialised randominitialized randomlyinitialised randomlyinitialized rand randinit"
    " noinit nopretrain nopretraining nopretrained notpretrained untrained baseline".split()
)
# What spreadsheets and programs write for a missing number.
_NO_LOSS = frozenset(
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
_HAS_SOURCE = (Stage.PRETRAIN, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT)
_SIZED = (Stage.PRETRAIN, Stage.FINETUNE, Stage.JOINT)
_HAS_TARGET = (Stage.SCRATCH, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT)


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


class _Line(ABC):
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
        if text is not None and name == "test_loss" and text.lower() in _NO_LOSS:
            return None
        return text

    def _name(self, name: str) -> str:
        text = self._text(name)
        if text is None:
            or_scratch = f", or {SCRATCH} if it was not pretrained"
            asked = name == "init_language" or (name == "source" and not self._rules.has_stages)
            self._bad(name, f"a name{or_scratch if asked else ''}", "nothing")
        elif name != "init_language" and _is_scratch(text):
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


def _is_scratch(text: str) -> bool:
    return re.sub(r"[\s_-]", "", text).lower() in _SCRATCH_WORDS


def _is_language(text: str) -> bool:
    return any(map(str.isalpha, text)) and text.lower() not in _NO_NAMES


def _label(text: str, size_bytes: int) -> str:
    """A size as used in names of cells: as written, if that is possible."""
    return text if _LABEL.fullmatch(text) else format_bytes(size_bytes)


class AuthorsLine(_Line):
    @property
    def _needs_loss(self) -> bool:
        return True

    def _values(self) -> dict[str, Any]:
        init, target, model = (
            self._name(name) for name in ("init_language", "target", "model_size")
        )
        if init and _is_scratch(init):
            if init != SCRATCH:
                self._rules.scratch_words[init] += 1
            init = SCRATCH
        label = self._name("data_size")
        size_bytes = self._bytes_of(label) if label else 0
        loss = self._number("test_loss", positive=True)
        if init == SCRATCH:
            stage = Stage.SCRATCH
        else:
            stage = Stage.ZEROSHOT if size_bytes == 0 else Stage.FINETUNE
        return {
            "stage": stage,
            "source": None if init == SCRATCH else init,
            "target": target,
            "size": _label(label, size_bytes),
            "size_bytes": size_bytes,
            "seed": self._count("seed", 0),
            "model": model,
            "status": Status.WAITING if self.has_no_loss else Status.DONE,
            "test_loss": loss,
            "stopped": Stop.EVALUATED if stage is Stage.ZEROSHOT else None,
        }


class OwnLine(_Line):
    @property
    def _needs_loss(self) -> bool:
        said = (self._text("status") or Status.DONE).lower()
        stage = (self._text("stage") or "").lower()
        return said == Status.DONE and stage != Stage.PRETRAIN

    def _values(self) -> dict[str, Any]:
        stage = self._one_of("stage", Stage, None) if self._rules.has_stages else self._stage()
        status = self._one_of("status", Status, Status.DONE)
        stopped = self._one_of("stopped", Stop, None) if self._text("stopped") else None
        source = self._name("source") if stage in _HAS_SOURCE else None
        target = self._name("target") if stage in _HAS_TARGET else None
        for name, having in (("source", _HAS_SOURCE), ("target", _HAS_TARGET)):
            text = self._text(name)
            if stage is None or stage in having or text in (None, stage):
                continue
            if not (stage is Stage.SCRATCH and (_is_scratch(text) or text.lower() in _NO_LOSS)):
                self._bad(name, f"nothing in a {stage} row", repr(text))
        loss = self._number("test_loss", positive=True)
        if self.has_no_loss:
            status = Status.WAITING
        label, size_bytes = self._size(stage)
        found = {column: self._number(column, positive=False) for column in METRICS}
        stderr = found["test_loss_stderr"]
        if stderr is not None and loss is not None:
            given = self._rules.unit.given(loss)
            found["test_loss_stderr"] = self._rules.unit.error(stderr, given)
        metrics = {METRICS[column]: value for column, value in found.items() if value is not None}
        return {
            "stage": stage,
            "source": source,
            "target": target,
            "size": label,
            "size_bytes": size_bytes,
            "seed": self._count("seed", 0),
            "model": self._text("model") or "model",
            "status": status,
            "test_loss": loss,
            "reason": self._text("reason"),
            "stopped": stopped,
            "precision": self._text("precision"),
            "metrics": metrics,
        }

    def _stage(self) -> Stage | None:
        """The stage by the source and the size, in a table without a column for it."""
        source = self._text("source")
        if source is not None and _is_scratch(source):
            self._rules.scratch_words[source] += 1
            return Stage.SCRATCH
        before = list(self._found)
        _, size_bytes = self._size(None)
        is_sized = size_bytes > 0 or self._found != before
        self._found = before  # read again, and reported, as the size of the stage
        return Stage.FINETUNE if is_sized else Stage.ZEROSHOT

    def _size(self, stage: Stage | None) -> tuple[str, int]:
        label, given = self._text("size"), self._text("size_bytes")
        if stage is Stage.ZEROSHOT and label is None and given is None:
            return "0", 0
        if label is None and given is None:
            self._bad("size", "a size or size_bytes", "nothing")
            return "", 0
        # Explicit bytes take precedence over the label, which is only a name.
        size_bytes = self._given_bytes(given) if given else self._bytes_of(str(label))
        if stage is Stage.ZEROSHOT and size_bytes:
            self._bad("size", "0 in a zeroshot row", f"{size_bytes} bytes")
        if stage in _SIZED and not size_bytes and not self._found:
            self._bad("size", f"more than 0 in a {stage} row", "0 bytes")
        return _label(label or "", size_bytes), size_bytes

    def _given_bytes(self, text: str) -> int:
        plain = self._without_points("size_bytes", text)
        try:
            return self._rules.unit.num_bytes(read_size(plain))
        except InputError as error:
            for problem in error.problems:
                self._bad("size_bytes", problem.expected, problem.got)
            return 0

    def _one_of(self, name: str, kind: Any, default: Any) -> Any:
        text = self._text(name)
        if text is None and default is not None:
            return default
        plain = re.sub(r"[\s_-]", "", text or "").lower()
        try:
            return kind(SCRATCH if kind is Stage and plain == "fromscratch" else plain)
        except ValueError:
            self._bad(name, f"one of {', '.join(kind)}", repr(text or ""))
            return default
