"""Retry, cancel and remove cells of a sweep. Needs no Ray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase

from raydt.config.sweep import Sweep
from raydt.errors import RunError, bad
from raydt.grid.cell import Cell
from raydt.grid.fence import fence
from raydt.grid.grids import every_cell
from raydt.grid.journal import cancel, give_up, set_aside, uncancel
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import Ledger, begun_cells, cell_folder
from raydt.orchestration.start import only_launch
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer

_RETRIED = (Status.FAILED, Status.DIVERGED, Status.CANCELLED)
_CANCELLED = (Status.WAITING, Status.BLOCKED, Status.RUNNING, Status.FAILED)


def matching_cells(sweep: Sweep, patterns: Iterable[str]) -> list[Cell]:
    """The cells whose ids match any of the patterns, with `*` and `?` as in a shell (`*` also
    matches slashes); `InputError` with every pattern that matches none."""
    cells = every_cell(sweep)
    found: dict[str, Cell] = {}
    for pattern in patterns:
        matches = {c.cell_id: c for c in cells if fnmatchcase(c.cell_id, pattern)}
        if not matches:
            raise bad(
                f"pattern {pattern!r}",
                f"the id of a cell of sweep {sweep.name}, such as {cells[0].cell_id}, "
                "or a pattern such as 'finetune/*'",
                "no matching cell",
            )
        found |= matches
    return list(found.values())


def retry_cells(sweep: Sweep, cells: Iterable[Cell], done_too: bool) -> list[Cell]:
    """Let the next launch retrain these cells if they failed, diverged or were cancelled; with
    `done_too` also done ones, and all cells made from them. Old results are kept beside the
    journals. Returns the affected cells."""
    with hold_sweep(sweep) as lease:
        return _retry(sweep, cells, done_too, lease)


def _retry(sweep: Sweep, cells: Iterable[Cell], done_too: bool, lease: LaunchLease) -> list[Cell]:
    every = every_cell(sweep)
    ledger = Ledger.read(sweep, every)
    statuses = {cell.cell_id: ledger.status(cell) for cell in every}
    allowed = {*_RETRIED, Status.DONE} if done_too else set(_RETRIED)
    chosen = {c.cell_id: c for c in cells if statuses[c.cell_id] in allowed}
    # Pretraining again may give other weights, so children must be retrained too.
    chosen |= {
        c.cell_id: c
        for c in every
        if c.parent_id in chosen
        and statuses[str(c.parent_id)] is Status.DONE
        and c.cell_id in ledger.results
    }
    _give_up_children(sweep, chosen, every, ledger, lease)
    # Children first, so that a kill in between leaves no done cell without its parent.
    for cell_id in reversed([cell.cell_id for cell in every if cell.cell_id in chosen]):
        folder = cell_folder(sweep, cell_id)
        result = ledger.results.get(cell_id)
        if result is not None:
            set_aside(folder, result, lease.check_held)
        uncancel(folder)
    return list(chosen.values())


def cancel_cells(sweep: Sweep, cells: Iterable[Cell]) -> list[Cell]:
    """Exclude these cells from training, by a running launch and by later ones; a running cell
    stops at its next report. Done cells stay done. Returns the affected cells."""
    chosen = list(cells)
    ledger = Ledger.read(sweep, chosen)
    chosen = [cell for cell in chosen if ledger.status(cell) in _CANCELLED]
    for cell in chosen:
        folder = cell_folder(sweep, cell.cell_id)
        cancel(folder)
        if cell.cell_id in ledger.results:
            set_aside(folder, ledger.results[cell.cell_id])
    return chosen


def remove_cells(sweep: Sweep, cells: Iterable[Cell]) -> list[Cell]:
    """Remove the journals, checkpoints, weights and results of these cells, and their runs from the
    store. Returns the cells that had any.

    Raises `RunError` if a done cell would stay while its parent is removed.
    """
    with hold_sweep(sweep) as lease:
        return _remove(sweep, cells, lease)


def _remove(sweep: Sweep, cells: Iterable[Cell], lease: LaunchLease) -> list[Cell]:
    chosen = {cell.cell_id: cell for cell in cells}
    every = every_cell(sweep)
    ledger = Ledger.read(sweep, every)
    orphans = [
        cell.cell_id
        for cell in every
        if cell.parent_id in chosen
        and cell.cell_id in ledger.results
        and cell.cell_id not in chosen
    ]
    if orphans:
        raise RunError(
            f"{len(orphans)} cells were made from these, such as {orphans[0]}: remove them as well"
        )
    there = [c for c in chosen.values() if cell_folder(sweep, c.cell_id).names()]
    if there:
        # The store first: if it does not answer, nothing has been removed yet.
        client = open_store(sweep.store_uri)
        writer = Writer(client, sweep.store_uri, sweep.name, lease.check_held)
        _give_up_children(sweep, chosen, every, ledger, lease)
        # Children first, and of each cell its result first, so that a kill in between leaves no
        # done cell without its journal, weights or run.
        for cell in sorted(there, key=lambda cell: cell.parent_id is None):
            give_up(cell_folder(sweep, cell.cell_id), lease.check_held)
            writer.delete(cell.cell_id)
            lease.check_held()
            (sweep.folder / "cells").remove(cell.cell_id)
    return there


def _give_up_children(
    sweep: Sweep,
    parents: Mapping[str, Cell],
    every: Iterable[Cell],
    ledger: Ledger,
    lease: LaunchLease,
) -> None:
    """Give up attempts at undecided children of these cells: the next launch would accept an
    attempt that has ended, although it retrains the parent."""
    for cell in every:
        undecided = cell.cell_id in ledger.begun and cell.cell_id not in ledger.results
        if cell.parent_id in parents and undecided:
            give_up(cell_folder(sweep, cell.cell_id), lease.check_held)


@contextmanager
def hold_sweep(sweep: Sweep) -> Iterator[LaunchLease]:
    """Hold the sweep inside the `with` block, as a launch does, so that no launch starts meanwhile;
    `RunError` if one is running."""
    with only_launch(sweep.folder) as lease:
        if lease.was_cut_off:
            begun = begun_cells(sweep, [cell.cell_id for cell in every_cell(sweep)])
            fence([cell_folder(sweep, c) for c in begun], lease.launch_id, sweep.folder)
            lease.has_fenced()
        yield lease
