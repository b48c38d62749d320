"""What a cell keeps on the storage, before anything reaches MLflow.

A cell's folder:

    lease.json                   the attempt that holds the cell, and the launch it belongs to; no
                                 attempt, where a result was set aside
    attempts/ATTEMPT/            private to one attempt: its journal (a JSON object a line: start,
                                 reports, end), checkpoints, weights and outcome
    result.json                  the outcome of the attempt that counts; it makes the cell decided.
                                 Or a mark that it is open (`raydt.grid.result`)
    previous/ATTEMPT.json        results that were set aside for another attempt
    cancelled.json               the cell is not to be trained
    mlflow.json                  how far the cell is written into MLflow

A worker writes nothing but its own attempt, and the driver alone writes `result.json`. So an
attempt that was given up (its node was slow, its driver was killed) can do no harm: nobody reads
what it still writes, and at its next report it finds that the lease is another's and ends.

Nor can a driver that was given up (its machine slept): what drivers share is only ever swapped
(`Folder.swap`), after a look whether the sweep is still held, and on what was read before that
look. Whoever takes a sweep over from a launch that was cut off changes what such a look may stand
before: see `raydt.grid.fence`.
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
    """The cell is not to be trained any more."""


class Lease(BaseModel):
    """Who holds a cell: `lease.json`."""

    attempt: str  # "" where its last one was set aside
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

    def begin(self, cell_id: str, fingerprint: str, data: tuple[ReadData, ...] = ()) -> None:
        """Take the cell, which ends any earlier attempt at it; `data` is what it reads.

        `LeaseLostError` if the launch that this attempt belongs to is over, or another attempt
        takes the cell at the same time; `CancelledError` if the cell is not to be trained.
        """
        before = read_if_there(self._cell, _LEASE)
        check_launch(self._sweep, self._launch_id)
        if is_cancelled(self._cell):
            raise CancelledError(f"{self._cell.uri} was cancelled")
        _take(self._cell, before, self.attempt_id, self._launch_id)
        launch = self._launch_id
        self.write(StartRow(launch=launch, cell_id=cell_id, fingerprint=fingerprint, data=data))

    def go_on(self, resumed: ResumeRow, reports: Iterable[ReportRow]) -> None:
        """The attempt resumes an earlier one that was cut off. `reports` are those of before: the
        journal of an attempt tells the cell's whole history, and nothing twice."""
        self.write(resumed)
        for report in reports:
            self.write(report)

    def check_held(self) -> None:
        """`LeaseLostError` if the cell is another attempt's by now, or the sweep another launch's;
        `CancelledError` if it is nobody's."""
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
    """The lease of a cell; None if nobody took it, or what came of it was set aside."""
    data = read_if_there(cell, _LEASE)
    lease = None if data is None else _lease_of(cell, data)
    return lease if lease is not None and lease.attempt else None


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
                f"{name}:{number}: expected a row of a journal, found damage ({error})"
            ) from None
    return rows


def decide(cell: Folder, result: Result, launch_id: str, check_held: Callable[[], None]) -> Result:
    """Put a cell's result in place, for good, and return what is in place: of two at once one is.

    The cell's lease is to name the result's attempt, or is taken for it in the name of the launch.
    `check_held` raises `LeaseLostError` if that launch does not hold the sweep any more.
    """
    while True:
        there = read_if_there(cell, RESULT)
        decided = read_result(cell, RESULT)
        if decided is not None:
            return decided
        if there is None:
            # No file is also what `raydt rm` leaves, which takes the mark of a fence away with the
            # rest: a driver that slept meanwhile would find the place as it had read it, and write.
            # What was never there before is not found again.
            check_held()
            there = open_mark()
            if not cell.swap(RESULT, None, there):
                continue
        lease = read_if_there(cell, _LEASE)
        if lease is None or _lease_of(cell, lease).attempt != result.attempt:
            check_held()
            _take(cell, lease, result.attempt, launch_id)
        # After the two were read: whoever takes the sweep over changes what stands there.
        check_held()
        if cell.swap(RESULT, there, result.as_json()):
            return result


def set_aside(cell: Folder, result: Result, check_held: Callable[[], None] = lambda: None) -> None:
    """Make room for another attempt; the result stays beside its journal. Nothing is done where
    another result is in its place by now: who looked may have slept. `check_held` as of
    `decide`."""
    lease, there = read_if_there(cell, _LEASE), read_if_there(cell, RESULT)
    found = {} if there is None else json.loads(there)
    if (found.get("attempt"), found.get("time")) != (result.attempt, result.time):
        return
    check_held()
    write_result(cell, f"{_PREVIOUS}/{result.attempt}.json", result)
    _open(cell, lease, there)


def give_up(cell: Folder, check_held: Callable[[], None]) -> None:
    """Let nothing count any more that was made of a cell, before its files go."""
    lease, there = read_if_there(cell, _LEASE), read_if_there(cell, RESULT)
    check_held()
    _open(cell, lease, there)


def _lease_of(cell: Folder, data: bytes) -> Lease:
    return typed(Lease, data, f"{cell.uri}/{_LEASE}", "who holds a cell")


def _open(cell: Folder, lease: bytes | None, there: bytes | None) -> None:
    # First: an attempt that ended and holds the cell would count again.
    if lease is not None:
        _take(cell, lease, "", _lease_of(cell, lease).launch)
    if there is not None and not is_open(there):
        cell.swap(RESULT, there, open_mark())


def close_to_others(cell: Folder, launch_id: str) -> bool:
    """Let no launch but this one decide an open cell whose attempt belongs to another; whether it
    was so. For `raydt.grid.fence`."""
    there, before = read_if_there(cell, RESULT), read_if_there(cell, _LEASE)
    if before is None or (there is not None and not is_open(there)):
        return False
    lease = _lease_of(cell, before)
    if lease.launch == launch_id:
        return False
    # Other bytes, and nothing else: an attempt that came to its end still counts. Whoever is
    # quicker here was so before the sweep was taken over, which counts as well.
    later = lease.model_copy(update={"time": time.time()})
    cell.swap(_LEASE, before, later.model_dump_json(indent=1).encode())
    cell.swap(RESULT, there, open_mark())
    return True


def _take(cell: Folder, before: bytes | None, attempt_id: str, launch_id: str) -> None:
    lease = Lease(attempt=attempt_id, launch=launch_id, time=time.time())
    if not cell.swap(_LEASE, before, lease.model_dump_json(indent=1).encode()):
        raise LeaseLostError(f"cell {cell.uri}: another attempt took it at the same time")


def cancel(cell: Folder) -> None:
    """Mark a cell as not to be trained; a worker that is at it ends with its next report."""
    cell.write_json(_CANCELLED, {"time": time.time()})


def is_cancelled(cell: Folder) -> bool:
    """Whether a cell is marked as not to be trained."""
    return cell.exists(_CANCELLED)


def uncancel(cell: Folder) -> None:
    """Take the mark away."""
    cell.remove(_CANCELLED)
