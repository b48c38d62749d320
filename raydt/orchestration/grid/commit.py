"""Commit results: the driver makes the outcome of the attempt that counts the cell's result."""

from __future__ import annotations

from dataclasses import dataclass

from raydt.grid.journal import (
    CHECKPOINTS,
    RESULT,
    attempt_folder,
    attempts,
    decide,
    outcome_of,
    set_aside,
)
from raydt.grid.lease import check_launch
from raydt.grid.result import Result, read_result
from raydt.storage.folder import Folder
from raydt.tracking.schema import Status

# A diverged cell is decided: training it again would diverge again.
DECIDED = (Status.DONE, Status.DIVERGED)


@dataclass(frozen=True)
class Committer:
    """Decides cells for a launch. All methods raise `LeaseLostError`, and change nothing, if the
    launch no longer holds its sweep."""

    sweep: Folder
    launch_id: str

    def commit(self, cell: Folder, fingerprint: str) -> Result | None:
        """Commit the result of a cell and return it; None if no attempt at it has ended.

        Of several attempts, the one that holds the lease counts. Idempotent.
        """
        result = read_result(cell, RESULT)
        if result is not None:
            return result
        outcome = outcome_of(cell)
        # An attempt from before the data or the protocol were edited does not count.
        if outcome is None or outcome.fingerprint != fingerprint:
            return None
        return self.decide(cell, outcome)

    def decide(self, cell: Folder, result: Result) -> Result:
        """Write a result; returns the result in place, which is another's if that was faster."""
        decided = decide(cell, result, self.launch_id, self.check_held)
        for attempt_id in attempts(cell) if decided.status is Status.DONE else ():
            # Checkpoints are no longer needed.
            attempt_folder(cell, attempt_id).remove(CHECKPOINTS)
        return decided

    def make_room(self, cell: Folder, result: Result | None) -> None:
        """Set aside the result of a failed cell for another attempt."""
        if result is not None:
            set_aside(cell, result, self.check_held)

    def check_held(self) -> None:
        """Raise `LeaseLostError` if another launch has taken over the sweep."""
        check_launch(self.sweep, self.launch_id)
