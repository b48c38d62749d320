"""The weights of a finished cell, for commands other than a launch."""

from __future__ import annotations

from typing import NamedTuple

from raydt.config.sweep import Sweep
from raydt.errors import Problem
from raydt.grid.cell import Cell
from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.result import Result
from raydt.storage.folder import Folder
from raydt.tracking.schema import Status


class CellWeights(NamedTuple):
    """The result of a cell, and the folder with its `WEIGHTS`."""

    result: Result
    folder: Folder


def weights_of(sweep: Sweep, cell: Cell, ledger: Ledger) -> CellWeights | Problem:
    """The final weights of a cell, or the problem if there are none."""
    status = ledger.status(cell)
    if status is not Status.DONE:
        return Problem(f"cell {cell.cell_id}", "a cell that is done", status)
    result = ledger.results[cell.cell_id]
    folder = attempt_folder(cell_folder(sweep, cell.cell_id), result.attempt)
    if not folder.exists(WEIGHTS):
        expected = "weights on the storage (`--keep-weights all` keeps those of every cell)"
        return Problem(f"cell {cell.cell_id}", expected, "none")
    return CellWeights(result, folder)
