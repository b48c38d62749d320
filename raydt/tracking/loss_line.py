"""From the texts of one line of a table of losses to a `LossRow`, with all that is wrong in it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from raydt.errors import InputError, Problem
from raydt.tracking import schema
from raydt.tracking.declared_sizes import DeclaredSizes
from raydt.tracking.loss_row import LossRow
from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import format_bytes

SCRATCH = "scratch"  # the authors' word for a random initialisation
METRICS = {
    "test_loss_stderr": schema.METRIC_TEST_LOSS_STDERR,
    "best_val_loss": schema.METRIC_BEST_VAL_LOSS,
    "best_bytes_seen": schema.METRIC_BEST_BYTES_SEEN,
    "bytes_seen": schema.METRIC_BYTES_SEEN,
    "seconds": schema.METRIC_SECONDS,
    "unfinished": schema.METRIC_UNFINISHED,
    "unseen_share": schema.METRIC_UNSEEN_SHARE,
}
_HAS_SOURCE = (Stage.PRETRAIN, Stage.FINETUNE, Stage.ZEROSHOT)
_HAS_TARGET = (Stage.SCRATCH, Stage.FINETUNE, Stage.ZEROSHOT)


class _Line(ABC):
    """One line: its texts by column, and the problems found in them."""

    def __init__(self, where: str, texts: Mapping[str, str], sizes: DeclaredSizes) -> None:
        self._where, self._texts, self._sizes = where, texts, sizes
        self._found: list[Problem] = []

    def row(self, problems: list[Problem]) -> LossRow | None:
        """The row, or None with what is wrong added to `problems`."""
        values = self._values()
        problems += self._found
        return None if self._found else LossRow(**values)

    @abstractmethod
    def _values(self) -> dict[str, Any]:
        """The fields of the row."""

    def _bad(self, name: str, requirement: str, found: object) -> None:
        self._found.append(Problem(f"{self._where}: {name}", requirement, str(found)))

    def _text(self, name: str) -> str | None:
        return self._texts.get(name) or None

    def _name(self, name: str) -> str:
        text = self._text(name)
        if text is None:
            self._bad(name, "a name", "nothing")
        elif text == SCRATCH and name != "init_language":
            self._bad(name, f"a language ({SCRATCH} is a random initialisation)", repr(text))
        elif not text.isprintable():
            self._bad(name, "a name of printable characters", repr(text))
        return text or ""

    def _count(self, name: str, default: int) -> int:
        text = self._text(name)
        if text is None:
            return default
        try:
            number = float(text)  # pandas writes integers beside a missing one as 1.0
        except ValueError:
            number = -1.0
        if number < 0 or number != int(number if math.isfinite(number) else 0):
            self._bad(name, "a whole number from 0 on", repr(text))
            return default
        return int(text) if text.isdigit() else int(number)

    def _number(self, name: str, *, positive: bool) -> float | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (positive and number == 0):
            shown = {"test_loss": "loss"}.get(name, name)
            what = "nats per byte, more than 0" if shown == "loss" else "a number from 0 on"
            self._bad(shown, what, repr(text))
            return None
        return number

    def _bytes_of(self, label: str) -> int:
        try:
            return self._sizes.num_bytes(label)
        except InputError as error:
            for problem in error.problems:
                self._bad("size", problem.requirement, problem.found)
            return 0


class AuthorsLine(_Line):
    def _values(self) -> dict[str, Any]:
        init, target, model = (
            self._name(name) for name in ("init_language", "target", "model_size")
        )
        label = self._name("data_size")
        size_bytes = self._bytes_of(label) if label else 0
        loss = self._number("test_loss", positive=True)
        if self._text("test_loss") is None:
            self._bad("loss", "nats per byte", "nothing")
        if init == SCRATCH:
            stage = Stage.SCRATCH
        else:
            stage = Stage.ZEROSHOT if size_bytes == 0 else Stage.FINETUNE
        return {
            "stage": stage,
            "source": None if init == SCRATCH else init,
            "target": target,
            "size": label,
            "size_bytes": size_bytes,
            "seed": self._count("seed", 0),
            "model": model,
            "status": Status.DONE,
            "test_loss": loss,
            "stopped": Stop.EVALUATED if stage is Stage.ZEROSHOT else None,
        }


class OwnLine(_Line):
    def _values(self) -> dict[str, Any]:
        stage = self._one_of("stage", Stage, None)
        status = self._one_of("status", Status, Status.DONE)
        stopped = self._one_of("stopped", Stop, None) if self._text("stopped") else None
        source = self._name("source") if stage in _HAS_SOURCE else None
        target = self._name("target") if stage in _HAS_TARGET else None
        for name, having in (("source", _HAS_SOURCE), ("target", _HAS_TARGET)):
            if stage is not None and stage not in having and self._text(name) not in (None, stage):
                self._bad(name, f"nothing in a {stage} row", repr(self._text(name)))
        loss = self._number("test_loss", positive=True)
        needed = status is Status.DONE and stage is not Stage.PRETRAIN
        if needed and self._text("test_loss") is None:
            self._bad("loss", "nats per byte in a row that is done", "nothing")
        label, size_bytes = self._size(stage)
        found = {column: self._number(column, positive=False) for column in METRICS}
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

    def _size(self, stage: Stage | None) -> tuple[str, int]:
        label, given = self._text("size"), self._text("size_bytes")
        if stage is Stage.ZEROSHOT and label is None and given is None:
            return "0", 0
        if label is None and given is None:
            self._bad("size", "a size or size_bytes", "nothing")
            return "", 0
        # Bytes that are given win over the label's: a label is only a name.
        size_bytes = self._count("size_bytes", 0) if given else self._bytes_of(str(label))
        if stage is Stage.ZEROSHOT and size_bytes:
            self._bad("size", "0 in a zeroshot row", f"{size_bytes} bytes")
        if stage in (Stage.FINETUNE, Stage.PRETRAIN) and not size_bytes and not self._found:
            self._bad("size", f"more than 0 in a {stage} row", "0 bytes")
        return label or format_bytes(size_bytes), size_bytes

    def _one_of(self, name: str, kind: Any, default: Any) -> Any:
        text = self._text(name)
        if text is None and default is not None:
            return default
        try:
            return kind(text)
        except ValueError:
            self._bad(name, f"one of {', '.join(kind)}", repr(text or ""))
            return default
