"""The files of a cell on the storage, which are written before anything reaches MLflow.

A cell's folder:

    lease.json                   the attempt that holds the cell, and its launch; no attempt, if a
                                 result was set aside
    attempts/ATTEMPT/            private to one attempt: its journal (one JSON object per line:
                                 start, reports, end), checkpoints, weights and outcome
    result.json                  the outcome of the attempt that counts, which decides the cell; or
                                 a mark that the cell is open (`raydt.grid.result`)
    previous/ATTEMPT.json        results that were set aside for another attempt
    cancelled.json               the cell must not be trained
    mlflow.json                  how much of the cell is in MLflow

A worker writes only its own attempt, and only the driver writes `result.json`. So an attempt that
was given up (its node was slow, its driver was killed) does no harm: nobody reads what it still
writes, and at its next report it finds another attempt in the lease and ends.

A driver that was given up (its machine slept) does no harm either. Files that drivers share are
only changed by `Folder.swap`, expecting what was read before the driver checked that it still holds
the sweep. A launch that takes over an interrupted one changes these files: see `raydt.grid.fence`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable

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
from raydt.grid.lease import LeaseLostError, check_launch
from raydt.grid.read_data import ReadData
from raydt.grid.result import Result, is_open, open_mark, read_if_there, read_result, write_result
from raydt.storage.folder import Folder
from raydt.storage.typed import typed

RESULT = "result.json"
WEIGHTS = "weights.safetensors"
CHECKPOINTS = "checkpoints"
_LEASE = "lease.json"
_CANCELLED = "cancelled.json"
_ATTEMPTS = "attempts"
_PREVIOUS = "previous"
_JOURNAL = "journal.jsonl"
_OUTCOME = "outcome.json"


class CancelledError(RunError):
    """The cell was cancelled."""


class Lease(BaseModel):
    """The holder of a cell: `lease.json`."""

    attempt: str  # "" if the last one was set aside
    launch: str
    time: float


class Attempt:
    """One attempt at a cell, as its worker uses it."""

    def __init__(self, cell: Folder, sweep: Folder, launch_id: str) -> None:
        self.attempt_id = f"{int(time.time() * 1000)}-{uuid.uuid4().hex[:8]}"
        self.folder = attempt_folder(cell, self.attempt_id)
        self._cell = cell
        self._sweep = sweep
        self._launch_id = launch_id

    def begin(self, cell_id: str, fingerprint: str, data: tuple[ReadData, ...] = ()) -> None:
        """Take the cell, which ends earlier attempts at it; `data` is what it reads.

        Raises `LeaseLostError` if the launch of this attempt has ended, or another attempt takes
        the cell at the same time, and `CancelledError` if the cell was cancelled.
        """
        before = read_if_there(self._cell, _LEASE)
        check_launch(self._sweep, self._launch_id)
        if is_cancelled(self._cell):
            raise CancelledError(f"{self._cell.uri} was cancelled")
        _take(self._cell, before, self.attempt_id, self._launch_id)
        launch = self._launch_id
        self.write(StartRow(launch=launch, cell_id=cell_id, fingerprint=fingerprint, data=data))

    def resume(self, resumed: ResumeRow, reports: Iterable[ReportRow]) -> None:
        """Record that the attempt resumes an interrupted one. `reports` are those before the
        checkpoint: the journal of an attempt has the whole history of the cell, once."""
        self.write(resumed)
        for report in reports:
            self.write(report)

    def check_held(self) -> None:
        """Raise `LeaseLostError` if another attempt has taken the cell, or another launch the
        sweep, and `CancelledError` if the cell was cancelled."""
        check_launch(self._sweep, self._launch_id)
        lease = holder(self._cell)
        if lease is None or lease.attempt != self.attempt_id:
            raise LeaseLostError(
                f"cell {self._cell.uri}: another attempt took over: expected {self.attempt_id}, "
                f"got {None if lease is None else lease.attempt}"
            )
        if is_cancelled(self._cell):
            raise CancelledError(f"{self._cell.uri} was cancelled")

    def write(self, row: JournalRow) -> None:
        """Append a row to the journal, if the attempt still holds its cell: see `check_held`."""
        self.check_held()
        self.folder.append(_JOURNAL, line_of(row))

    def end(self, outcome: Result) -> None:
        """Record the outcome of the attempt."""
        self.write(EndRow(status=outcome.status))
        write_result(self.folder, _OUTCOME, outcome)


def attempt_folder(cell: Folder, attempt_id: str) -> Folder:
    """The folder of an attempt at a cell."""
    return cell / _ATTEMPTS / attempt_id


def attempts(cell: Folder) -> list[str]:
    """The attempts at a cell, oldest first (ids start with a time)."""
    return (cell / _ATTEMPTS).names()


def holder(cell: Folder) -> Lease | None:
    """The lease of a cell; None if it was never taken, or its result was set aside."""
    data = read_if_there(cell, _LEASE)
    lease = None if data is None else _lease_of(cell, data)
    return lease if lease is not None and lease.attempt else None


def outcome_of(cell: Folder) -> Result | None:
    """The outcome of the attempt that holds the cell; None until it ends."""
    lease = holder(cell)
    if lease is None:
        return None
    return read_result(attempt_folder(cell, lease.attempt), _OUTCOME)


def read_journal(cell: Folder, attempt_id: str) -> list[JournalRow]:
    """The rows of an attempt, without a last line that a kill truncated.

    Raises `RunError` if another line is damaged.
    """
    try:
        data = attempt_folder(cell, attempt_id).read(_JOURNAL)
    except FileNotFoundError:
        return []
    rows: list[JournalRow] = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            rows.append(row_of(line))
        except ValueError as error:
            name = f"{attempt_folder(cell, attempt_id).uri}/{_JOURNAL}"
            raise RunError(
                f"{name}:{number}: expected a row of a journal, got a damaged line ({error})"
            ) from None
    return rows


def decide(cell: Folder, result: Result, launch_id: str, check_held: Callable[[], None]) -> Result:
    """Write a cell's result, once and for all, and return the result that is in place. Of two calls
    at the same time, one succeeds.

    The lease of the cell must name the result's attempt, or is taken for it by the launch.
    `check_held` raises `LeaseLostError` if the launch no longer holds the sweep.
    """
    while True:
        there = read_if_there(cell, RESULT)
        decided = read_result(cell, RESULT)
        if decided is not None:
            return decided
        if there is None:
            # `raydt rm` also removes the mark of a fence. A driver that was paused meanwhile would
            # find no file, as before, and write. Swap against a mark of our own, which cannot
            # reappear.
            check_held()
            there = open_mark()
            if not cell.swap(RESULT, None, there):
                continue
        lease = read_if_there(cell, _LEASE)
        if lease is None or _lease_of(cell, lease).attempt != result.attempt:
            check_held()
            _take(cell, lease, result.attempt, launch_id)
        # After both were read: a launch that takes the sweep over changes them.
        check_held()
        if cell.swap(RESULT, there, result.as_json()):
            return result


def set_aside(cell: Folder, result: Result, check_held: Callable[[], None] = lambda: None) -> None:
    """Set a result aside for another attempt; it is kept beside its journal. Does nothing if
    another result is in its place by now, because the caller may have been paused. `check_held` as
    in `decide`."""
    lease, there = read_if_there(cell, _LEASE), read_if_there(cell, RESULT)
    found = {} if there is None else json.loads(there)
    if (found.get("attempt"), found.get("time")) != (result.attempt, result.time):
        return
    check_held()
    write_result(cell, f"{_PREVIOUS}/{result.attempt}.json", result)
    _open(cell, lease, there)


def give_up(cell: Folder, check_held: Callable[[], None]) -> None:
    """Invalidate all attempts at a cell, before its files are removed."""
    lease, there = read_if_there(cell, _LEASE), read_if_there(cell, RESULT)
    check_held()
    _open(cell, lease, there)


def _lease_of(cell: Folder, data: bytes) -> Lease:
    return typed(Lease, data, f"{cell.uri}/{_LEASE}", "the holder of a cell")


def _open(cell: Folder, lease: bytes | None, there: bytes | None) -> None:
    # First, because an ended attempt that holds the cell would count again.
    if lease is not None:
        _take(cell, lease, "", _lease_of(cell, lease).launch)
    if there is not None and not is_open(there):
        cell.swap(RESULT, there, open_mark())


def close_to_others(cell: Folder, launch_id: str) -> bool:
    """Let only this launch decide an open cell whose attempt belongs to another launch; returns
    whether it was such a cell. For `raydt.grid.fence`."""
    there, before = read_if_there(cell, RESULT), read_if_there(cell, _LEASE)
    if before is None or (there is not None and not is_open(there)):
        return False
    lease = _lease_of(cell, before)
    if lease.launch == launch_id:
        return False
    # Only the bytes change: an attempt that ended still counts. A writer that is faster here wrote
    # before the sweep was taken over, which counts as well.
    later = lease.model_copy(update={"time": time.time()})
    cell.swap(_LEASE, before, later.model_dump_json(indent=1).encode())
    cell.swap(RESULT, there, open_mark())
    return True


def _take(cell: Folder, before: bytes | None, attempt_id: str, launch_id: str) -> None:
    lease = Lease(attempt=attempt_id, launch=launch_id, time=time.time())
    if not cell.swap(_LEASE, before, lease.model_dump_json(indent=1).encode()):
        raise LeaseLostError(f"cell {cell.uri}: another attempt took it at the same time")


def cancel(cell: Folder) -> None:
    """Mark a cell as cancelled; a worker that trains it stops at its next report."""
    cell.write_json(_CANCELLED, {"time": time.time()})


def is_cancelled(cell: Folder) -> bool:
    """Whether a cell is marked as cancelled."""
    return cell.exists(_CANCELLED)


def uncancel(cell: Folder) -> None:
    """Remove the mark."""
    cell.remove(_CANCELLED)
