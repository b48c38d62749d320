"""The rows of an attempt's journal: one JSON object per line, of one of these types."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from raydt.grid.read_data import ReadData
from raydt.tracking.schema import Status


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class StartRow(_Row):
    """The attempt has taken its cell."""

    event: Literal["start"] = "start"
    time: float = Field(default_factory=time.time)  # seconds since 1970, as in every row
    launch: str
    cell_id: str
    fingerprint: str
    data: tuple[ReadData, ...] = ()  # what it reads; missing in earlier versions


class ResumeRow(_Row):
    """The attempt resumes an earlier one; `damaged` are checkpoints that could not be read."""

    event: Literal["resume"] = "resume"
    time: float = Field(default_factory=time.time)
    bytes_seen: int
    damaged: tuple[str, ...]


class ReportRow(_Row):
    """The state of the cell after an evaluation: see `raydt.training.outcome.Report`."""

    event: Literal["report"] = "report"
    time: float = Field(default_factory=time.time)
    bytes_seen: int
    train_loss: float | None
    val_loss: float
    bytes_per_second: float | None
    mfu: float | None = None
    mfu_of_matmul: float | None = None
    val_bpb: float
    # System metrics since the last report, if they are enabled: see
    # `raydt.orchestration.run.system_metrics`.
    system: Mapping[str, float] | None = None


class ErrorRow(_Row):
    """The attempt failed."""

    event: Literal["error"] = "error"
    time: float = Field(default_factory=time.time)
    traceback: str
    windows_at_once: int | None = None  # that would have fitted, if memory ran out


class EndRow(_Row):
    """The attempt ended; its outcome follows."""

    event: Literal["end"] = "end"
    time: float = Field(default_factory=time.time)
    status: Status


_OPTIONAL = {"data", "system"}  # missing in lines of earlier versions

JournalRow = StartRow | ResumeRow | ReportRow | ErrorRow | EndRow
_ANY_ROW: TypeAdapter[JournalRow] = TypeAdapter(Annotated[JournalRow, Field(discriminator="event")])


def line_of(row: JournalRow) -> bytes:
    """The row as a line of the journal."""
    said = {
        name: value for name, value in row.model_dump().items() if value or name not in _OPTIONAL
    }
    return (json.dumps(said) + "\n").encode()


def row_of(line: bytes) -> JournalRow:
    """Parse a line; `ValueError` if it is not a row, or not UTF-8."""
    try:
        return _ANY_ROW.validate_python(json.loads(line))
    except RecursionError as error:
        raise ValueError(str(error)) from None
