"""Convert losses from other units to nats per byte."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from raydt.errors import bad

Unit: TypeAlias = Literal["nats", "bits", "perplexity"]
UNITS: tuple[Unit, ...] = get_args(Unit)
_SYNONYMS: dict[str, Unit] = {"nat": "nats", "bit": "bits", "bpb": "bits", "ppl": "perplexity"}
_NAMED: dict[str, Unit] = {**_SYNONYMS, "bits": "bits", "nats": "nats", "perplexity": "perplexity"}
UNIFORM_NATS = math.log(256)  # the loss of a uniform distribution over bytes


@dataclass(frozen=True)
class LossUnit:
    """The unit of a table's losses, per byte or per token; `bytes_per_token` converts both losses
    and sizes to bytes."""

    unit: Unit = "nats"
    bytes_per_token: float | None = None

    def nats(self, loss: float) -> float:
        """A loss of the table in nats per byte; NaN if it is not a valid loss."""
        if self.unit == "bits":
            nats = loss * math.log(2)
        elif self.unit == "perplexity":
            nats = math.log(loss) if loss > 0 else math.nan
        else:
            nats = loss
        return nats / (self.bytes_per_token or 1)

    def given(self, nats: float) -> float:
        """A loss in nats per byte in the unit of the table: the inverse of `nats`."""
        nats = nats * (self.bytes_per_token or 1)
        if self.unit == "perplexity":
            return math.exp(nats)
        return nats / math.log(2) if self.unit == "bits" else nats

    def error(self, error: float, loss: float) -> float:
        """A standard error in nats per byte; for a perplexity, relative to it."""
        scale = {"nats": 1.0, "bits": math.log(2), "perplexity": 1 / loss if loss else math.nan}
        return error * scale[self.unit] / (self.bytes_per_token or 1)

    def num_bytes(self, size: int) -> int:
        """A size of the table in bytes."""
        return size if self.bytes_per_token is None else round(size * self.bytes_per_token)

    def __str__(self) -> str:
        if self.bytes_per_token is None:
            return f"{self.unit} per byte" if self.unit != "perplexity" else "perplexity of a byte"
        return f"{self.unit} per token of {self.bytes_per_token:g} bytes"


def read_unit(unit: str, bytes_per_token: str | None) -> LossUnit:
    """Parse the unit on the command line; `InputError` if it is unknown."""
    found = re.sub(r"(/| per )byte$", "", unit.strip().lower())
    found = _SYNONYMS.get(found, found)
    if found not in UNITS:
        hint = " (with --bytes-per-token NUMBER, if per token)" if "tok" in found else ""
        raise bad("--unit", f"one of {', '.join(UNITS)}{hint}", repr(unit))
    if bytes_per_token is None:
        return LossUnit(found)
    try:
        number = float(bytes_per_token)
    except ValueError:
        number = 0.0
    if not 0.1 <= number <= 1000:
        raise bad("--bytes-per-token", "a number such as 4.3", repr(bytes_per_token))
    return LossUnit(found, number)


def unit_of(column: str) -> Unit | None:
    """The unit in the name of a column, if the name has one: test_bpb, Loss (bits/byte)."""
    words = re.split(r"[^a-z]+", column.lower())
    return next((_NAMED[word] for word in words if word in _NAMED), None)
