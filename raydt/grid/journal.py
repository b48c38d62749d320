"""What a cell keeps on the storage, before anything reaches MLflow.

A cell's folder:

    lease.json                   the attempt that holds the cell, and the launch it belongs to
    attempts/ATTEMPT/            private to one attempt: its journal (a JSON object a line: start,
                                 reports, end), checkpoints, weights and outcome
    result.json                  the outcome of the attempt that counts; it makes the cell decided
    previous/ATTEMPT.json        results that were set aside for another attempt
    cancelled.json               the cell is not to be trained
    mlflow.json                  how far the cell is written into MLflow

A worker writes nothing but its own attempt, and the driver alone writes `result.json`. So an
attempt that was given up (its node was slow, its driver was killed) can do no harm: nobody reads
what it still writes, and at its next report it finds that the lease is another's and ends.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from pydantic import BaseModel

from raydt.errors import RunError
from raydt.grid.journal_rows import (
    EndRow,
    JournalRow,
    ReportRow,
    ResumeRow,
    StartRow,
    line_of,
    row_of,
)
from raydt.grid.lease import holding_launch
from raydt.grid.result import Result, read_result, write_result
from raydt.storage.folder import Folder

RESULT = "result.json"
WEIGHTS = "weights.safetensors"
CHECKPOINTS = "checkpoints"
_LEASE = "lease.json"
_CANCELLED = "cancelled.json"
_ATTEMPTS = "attempts"
_PREVIOUS = "previous"
_JOURNAL = "journal.jsonl"
_OUTCOME = "outcome.json"


class LeaseLostError(RunError):
    """Another attempt, or another launch, has taken the cell."""


class CancelledError(RunError):
    """The cell is not to be trained any more."""


class Lease(BaseModel):
    """Who holds a cell: `lease.json`."""

    attempt: str
    launch: str
    time: float


class Attempt:
    """One attempt at a cell, from the side of the worker that makes it."""

    def __init__(self, cell: Folder, sweep: Folder, launch_id: str) -> None:
        self.attempt_id = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}"
        self.folder = attempt_folder(cell, self.attempt_id)
        self._cell = cell
        self._sweep = sweep
        self._launch_id = launch_id

    def begin(self, cell_id: str, fingerprint: str) -> None:
        """Take the cell, which ends any earlier attempt at it.

        `LeaseLostError` if the launch that this attempt belongs to is over, `CancelledError` if
        the cell is not to be trained.
        """
        lease = Lease(attempt=self.attempt_id, launch=self._launch_id, time=time.time())
        self._check_launch()
        if is_cancelled(self._cell):
            raise CancelledError(f"{self._cell.uri} was cancelled")
        self._cell.write_json(_LEASE, lease.model_dump())
        self.write(StartRow(launch=self._launch_id, cell_id=cell_id, fingerprint=fingerprint))

    def go_on(self, resumed: ResumeRow, reports: Iterable[ReportRow]) -> None:
        """The attempt resumes an earlier one that was cut off. `reports` are those of before: the
        journal of an attempt tells the cell's whole history, and nothing twice."""
        self.write(resumed)
        for report in reports:
            self.write(report)

    def check_held(self) -> None:
        """`LeaseLostError` if the cell is another attempt's by now, or the sweep another launch's;
        `CancelledError` if it is nobody's."""
        self._check_launch()
        lease = holder(self._cell)
        if lease is None or lease.attempt != self.attempt_id:
            raise LeaseLostError(
                f"cell {self._cell.uri}: another attempt took over: expected {self.attempt_id}, "
                f"got {None if lease is None else lease.attempt}"
            )
        if is_cancelled(self._cell):
            raise CancelledError(f"{self._cell.uri} was cancelled")

    def _check_launch(self) -> None:
        newest = holding_launch(self._sweep)
        if newest != self._launch_id:
            raise LeaseLostError(
                f"sweep in {self._sweep.uri}: another launch took over: expected "
                f"{self._launch_id}, got {newest}"
            )

    def write(self, row: JournalRow) -> None:
        """Journal a row, if the attempt still holds its cell: see `check_held`."""
        self.check_held()
        self.folder.append(_JOURNAL, line_of(row))

    def end(self, outcome: Result) -> None:
        """The attempt is over, and this came of it."""
        self.write(EndRow(status=outcome.status))
        write_result(self.folder, _OUTCOME, outcome)


def attempt_folder(cell: Folder, attempt_id: str) -> Folder:
    """Where an attempt at the cell in a folder keeps what is its own."""
    return cell / _ATTEMPTS / attempt_id


def attempts(cell: Folder) -> list[str]:
    """The attempts at a cell, oldest first (an id begins with its time)."""
    return (cell / _ATTEMPTS).names()


def holder(cell: Folder) -> Lease | None:
    """The lease of a cell; None if nobody ever took it."""
    lease = cell.read_json(_LEASE)
    return None if lease is None else Lease.model_validate(lease)


def outcome_of(cell: Folder) -> Result | None:
    """What came of the attempt that holds the cell; None while it is not over."""
    lease = holder(cell)
    if lease is None:
        return None
    return read_result(attempt_folder(cell, lease.attempt), _OUTCOME)


def read_journal(cell: Folder, attempt_id: str) -> list[JournalRow]:
    """The rows of an attempt; a last line that a kill cut short is left out.

    `RunError` if another line is damaged.
    """
    try:
        text = attempt_folder(cell, attempt_id).read(_JOURNAL).decode()
    except FileNotFoundError:
        return []
    rows: list[JournalRow] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            rows.append(row_of(line))
        except ValueError as error:
            name = f"{attempt_folder(cell, attempt_id).uri}/{_JOURNAL}"
            raise RunError(
                f"{name}:{number}: expected a row of a journal, found damage ({error})"
            ) from None
    return rows


def set_aside(cell: Folder, result: Result) -> None:
    """Make room for another attempt; the result stays beside its journal."""
    write_result(cell, f"{_PREVIOUS}/{result.attempt}.json", result)
    cell.remove(_LEASE)  # first: an attempt that ended and holds the cell would count again
    cell.remove(RESULT)


def cancel(cell: Folder) -> None:
    """Mark a cell as not to be trained; a worker that is at it ends with its next report."""
    cell.write_json(_CANCELLED, {"time": time.time()})


def is_cancelled(cell: Folder) -> bool:
    """Whether a cell is marked as not to be trained."""
    return cell.exists(_CANCELLED)


def uncancel(cell: Folder) -> None:
    """Take the mark away."""
    cell.remove(_CANCELLED)
