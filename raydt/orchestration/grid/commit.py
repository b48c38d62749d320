"""The moment a cell becomes decided: the driver puts the outcome of the attempt that counts in
place."""

from __future__ import annotations

from raydt.grid.journal import CHECKPOINTS, RESULT, attempt_folder, attempts, outcome_of, set_aside
from raydt.grid.result import Result, read_result, write_result
from raydt.storage.folder import Folder
from raydt.tracking.schema import Status

# A loss that was not finite is the cell's result: training it again would end the same.
DECIDED = (Status.DONE, Status.DIVERGED)


def commit(cell: Folder, fingerprint: str) -> Result | None:
    """The result of a cell, which is now in place; None if no attempt at it has come to an end.

    Of several attempts the one that holds the lease counts. Call it as often as you like: what
    is in place stays.
    """
    result = read_result(cell, RESULT)
    if result is not None:
        return result
    outcome = outcome_of(cell)
    # An attempt of before the data or the protocol were changed by hand is no attempt at this cell.
    if outcome is None or outcome.fingerprint != fingerprint:
        return None
    write_result(cell, RESULT, outcome)
    for attempt_id in attempts(cell) if outcome.status is Status.DONE else ():
        # What a cell goes on from is of no use any more.
        attempt_folder(cell, attempt_id).remove(CHECKPOINTS)
    return outcome


def make_room(cell: Folder, result: Result | None) -> None:
    """Before another attempt at a cell that failed: its result is kept beside its journal."""
    if result is not None:
        set_aside(cell, result)
