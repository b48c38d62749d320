"""Results and reports for tests: whole, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from raydt.grid.journal_rows import ReportRow
from raydt.grid.result import Result
from raydt.tracking.schema import Status


def result_of(cell_id: str = "a", status: Status = Status.DONE, **said: Any) -> Result:
    """The result of a cell; fields that are not given are not said."""
    facts = {"fingerprint": "f" * 64, "attempt": "1", "model": "nano", "time": 100.0, **said}
    facts = {"bytes_seen": 1000, "training_seconds": 0.5, **facts}
    return Result(cell_id=cell_id, status=status, **facts)


def report_of(bytes_seen: int = 8, val_loss: float = 1.5, **said: Any) -> ReportRow:
    """A report of a cell."""
    facts = {"train_loss": 2.0, "bytes_per_second": 4e5, "val_bpb": 1.5 * val_loss, **said}
    return ReportRow(bytes_seen=bytes_seen, val_loss=val_loss, **facts)
