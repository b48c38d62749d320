"""The moment a cell becomes decided: the driver puts the outcome of the attempt that counts in
place."""

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

# A loss that was not finite is the cell's result: training it again would end the same.
DECIDED = (Status.DONE, Status.DIVERGED)


@dataclass(frozen=True)
class Committer:
    """Decides cells in the name of a launch; every method raises `LeaseLostError`, and changes
    nothing, if that launch does not hold its sweep any more."""

    sweep: Folder
    launch_id: str

    def commit(self, cell: Folder, fingerprint: str) -> Result | None:
        """The result of a cell, which is now in place; None if no attempt at it has come to an end.

        Of several attempts the one that holds the lease counts. Call it as often as you like: what
        is in place stays.
        """
        result = read_result(cell, RESULT)
        if result is not None:
            return result
        outcome = outcome_of(cell)
        # An attempt of before the data or the protocol were changed by hand is none at this cell.
        if outcome is None or outcome.fingerprint != fingerprint:
            return None
        return self.decide(cell, outcome)

    def decide(self, cell: Folder, result: Result) -> Result:
        """Put a result in place; what is in place now, if another was quicker."""
        decided = decide(cell, result, self.launch_id, self.check_held)
        for attempt_id in attempts(cell) if decided.status is Status.DONE else ():
            # What a cell resumes from is of no use any more.
            attempt_folder(cell, attempt_id).remove(CHECKPOINTS)
        return decided

    def make_room(self, cell: Folder, result: Result | None) -> None:
        """Before another attempt at a cell that failed: its result is kept beside its journal."""
        if result is not None:
            set_aside(cell, result, self.check_held)

    def check_held(self) -> None:
        """`LeaseLostError` if another launch has taken the sweep."""
        check_launch(self.sweep, self.launch_id)
