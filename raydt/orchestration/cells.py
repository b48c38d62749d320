"""What a person does to cells of a sweep by hand: retry, cancel, remove. Needs no Ray."""

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
    """The cells whose ids match any of the patterns, `*` and `?` as in a shell (`*` goes over
    slashes); `InputError` naming every pattern that matches none."""
    cells = every_cell(sweep)
    found: dict[str, Cell] = {}
    for pattern in patterns:
        matches = {c.cell_id: c for c in cells if fnmatchcase(c.cell_id, pattern)}
        if not matches:
            raise bad(
                f"pattern {pattern!r}",
                f"the id of a cell of sweep {sweep.name}, such as {cells[0].cell_id}, "
                "or a pattern of several, such as 'finetune/*'",
                "no cell that matches",
            )
        found |= matches
    return list(found.values())


def retry_cells(sweep: Sweep, cells: Iterable[Cell], done_too: bool) -> list[Cell]:
    """Make these cells be trained by the next launch, if they failed, diverged or were cancelled;
    with `done_too` also those that are done, and all that was made from them. What was is kept
    beside the journals. The cells that it came to."""
    with at_rest(sweep) as lease:
        return _retry(sweep, cells, done_too, lease)


def _retry(sweep: Sweep, cells: Iterable[Cell], done_too: bool, lease: LaunchLease) -> list[Cell]:
    every = every_cell(sweep)
    ledger = Ledger.read(sweep, every)
    statuses = {cell.cell_id: ledger.status(cell) for cell in every}
    allowed = {*_RETRIED, Status.DONE} if done_too else set(_RETRIED)
    chosen = {c.cell_id: c for c in cells if statuses[c.cell_id] in allowed}
    # Another pretraining may end in other weights.
    chosen |= {
        c.cell_id: c
        for c in every
        if c.parent_id in chosen
        and statuses[str(c.parent_id)] is Status.DONE
        and c.cell_id in ledger.results
    }
    _give_up_children(sweep, chosen, every, ledger, lease)
    # Children first: a kill in between leaves none that is done and whose parent is not.
    for cell_id in reversed([cell.cell_id for cell in every if cell.cell_id in chosen]):
        folder = cell_folder(sweep, cell_id)
        result = ledger.results.get(cell_id)
        if result is not None:
            set_aside(folder, result, lease.check_held)
        uncancel(folder)
    return list(chosen.values())


def cancel_cells(sweep: Sweep, cells: Iterable[Cell]) -> list[Cell]:
    """Keep these cells from being trained, by a launch at work or by later ones; one that is being
    trained ends at its next report. What is done stays done. The cells that it came to."""
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
    """Remove what these cells left: journals, checkpoints, weights and results, and their runs
    from the store. The cells that had left something.

    `RunError` if something would then hang in the air: a cell that is done, and whose parent is to
    go while it stays.
    """
    with at_rest(sweep) as lease:
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
            f"{len(orphans)} cells were made from these and would stay, such as {orphans[0]}: "
            "name them too"
        )
    there = [c for c in chosen.values() if cell_folder(sweep, c.cell_id).names()]
    if there:
        # First the store: if it does not answer, nothing has happened yet.
        client = open_store(sweep.store_uri)
        writer = Writer(client, sweep.store_uri, sweep.name, lease.check_held)
        _give_up_children(sweep, chosen, every, ledger, lease)
        # Children first, and of each its result: a kill in between leaves no cell that is done and
        # lacks its journal, its weights or its run.
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
    """What was made of these cells' weights and is not decided yet: the next launch would take an
    attempt that came to its end, though it trains the parent again."""
    for cell in every:
        undecided = cell.cell_id in ledger.begun and cell.cell_id not in ledger.results
        if cell.parent_id in parents and undecided:
            give_up(cell_folder(sweep, cell.cell_id), lease.check_held)


@contextmanager
def at_rest(sweep: Sweep) -> Iterator[LaunchLease]:
    """Hold the sweep for the time of the block, as a launch does, so that none begins beside it;
    `RunError` if one is at work."""
    with only_launch(sweep.folder) as lease:
        if lease.was_cut_off:
            begun = begun_cells(sweep, [cell.cell_id for cell in every_cell(sweep)])
            fence([cell_folder(sweep, c) for c in begun], lease.launch_id, sweep.folder)
            lease.has_fenced()
        yield lease
