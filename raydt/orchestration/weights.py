"""Remove weights that are no longer needed from the storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raydt.config.sweep import Sweep
from raydt.errors import Problem, RunError
from raydt.grid.cell import Cell
from raydt.grid.grids import every_cell
from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.ledger import Ledger, cell_folder
from raydt.orchestration.cells import hold_sweep
from raydt.storage.folder import Folder
from raydt.tracking.schema import Status


@dataclass(frozen=True)
class Freed:
    """The cells whose weights were removed, and the bytes freed on disk."""

    cells: list[Cell]
    num_bytes: int


def remove_weights(sweep: Sweep, cells: Iterable[Cell]) -> Freed:
    """Remove the weights of these cells; journals and results are kept.

    Raises `RunError` if cells that are not done start from them, or a launch is running.
    """
    with hold_sweep(sweep):
        every = every_cell(sweep)
        ledger = Ledger.read(sweep, every)
        chosen = {cell.cell_id: cell for cell in cells}
        waiting = [
            cell.cell_id
            for cell in every
            if cell.parent_id in chosen
            and cell.parent_id in ledger.results
            and ledger.status(cell) is not Status.DONE
        ]
        if waiting:
            raise RunError(
                f"{len(waiting)} unfinished cells start from these weights, such as {waiting[0]}: "
                "train them first, or exclude their parents"
            )
        return _remove(sweep, chosen.values(), ledger)


def free_unneeded_weights(sweep: Sweep, every: Mapping[str, Cell], ledger: Ledger) -> Freed:
    """Remove the weights of parents whose children are all done, at the end of a launch with
    `keep_weights` none."""
    needed = {cell.parent_id for cell in every.values() if ledger.status(cell) is not Status.DONE}
    parents = {cell.parent_id for cell in every.values() if cell.parent_id is not None} - needed
    return _remove(sweep, [every[str(parent)] for parent in sorted(map(str, parents))], ledger)


def missing_weights(sweep: Sweep, missing: Iterable[Cell], ledger: Ledger) -> list[Problem]:
    """A problem if missing cells start from weights that were removed."""
    parents = {str(cell.parent_id) for cell in missing if cell.parent_id in ledger.results}
    gone = [
        parent
        for parent in sorted(parents)
        if ledger.results[parent].status is Status.DONE
        and not _place(sweep, parent, ledger).exists(WEIGHTS)
    ]
    if not gone:
        return []
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    return [
        Problem(
            "missing cells",
            "the weights of their parents on the storage (`raydt retry --done-too` retrains a "
            "parent and all cells made from it)",
            f"none of {', '.join(gone[:3])}{more}, which were removed",
        )
    ]


def _remove(sweep: Sweep, cells: Iterable[Cell], ledger: Ledger) -> Freed:
    freed, num_bytes = [], 0
    for cell in cells:
        if cell.cell_id not in ledger.results:
            continue
        place = _place(sweep, cell.cell_id, ledger)
        if place.exists(WEIGHTS):
            if place.local_path is not None:
                num_bytes += (place.local_path / WEIGHTS).stat().st_size
            place.remove(WEIGHTS)
            freed.append(cell)
    return Freed(freed, num_bytes)


def _place(sweep: Sweep, cell_id: str, ledger: Ledger) -> Folder:
    return attempt_folder(cell_folder(sweep, cell_id), ledger.results[cell_id].attempt)
