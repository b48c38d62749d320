"""Update or rebuild the MLflow store from the journals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.added import added_cells, sweep_cells
from raydt.grid.journal import holder, read_journal
from raydt.grid.journal_rows import JournalRow, ReportRow, StartRow
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import Ledger, cell_folder
from raydt.orchestration.cells import hold_sweep
from raydt.orchestration.grid.facts import cell_facts, headline, model_of, parent_folder, plan_rows
from raydt.tracking.recorded import experiment_key, is_recorded
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer


@dataclass
class Synced:
    """The outcome of a sync."""

    num_written: int = 0
    num_up_to_date: int = 0
    damaged: dict[str, str] = field(default_factory=dict)  # cell id -> what is wrong


def sync_store(sweep: Sweep, on_cell: Callable[[str], None] = lambda _: None) -> Synced:
    """Update the store of `sweep` from the cells' folders. Idempotent.

    Interrupted cells are written as far as they got. `RunError` while a launch is running, because
    it is the only writer of the store.
    """
    with hold_sweep(sweep) as lease:
        return _sync(sweep, on_cell, lease)


def _sync(sweep: Sweep, on_cell: Callable[[str], None], lease: LaunchLease) -> Synced:
    cells = {cell.cell_id: cell for cell in sweep_cells(sweep)}
    ledger = Ledger.read(sweep, cells.values())
    client = open_store(sweep.store_uri)
    writer = Writer(client, sweep.store_uri, sweep.name, lease.check_held)
    experiment = experiment_key(sweep.store_uri, sweep.name)
    synced = Synced()
    to_write: dict[str, str] = {}  # cell id -> attempt
    for cell_id in [c for c in cells if c in ledger.begun]:  # parents before children
        folder = cell_folder(sweep, cell_id)
        if cell_id in ledger.cancelled:
            writer.cancelled(folder)
        holding = ledger.results.get(cell_id) or holder(folder)
        if holding is None:
            continue
        so_far = None
        try:
            if cell_id not in ledger.results:
                so_far = _num_reports(read_journal(folder, holding.attempt))
        except RunError as error:
            synced.damaged[cell_id] = str(error)
            continue
        if is_recorded(folder, sweep.store_uri, experiment, holding.attempt, so_far):
            synced.num_up_to_date += 1
        else:
            to_write[cell_id] = holding.attempt
    if not to_write:
        return synced
    added_for = {cell_id: added.why for cell_id, added in added_cells(sweep).items()}
    fingerprints: dict[str, str | None] = dict.fromkeys(cells)
    fingerprints |= {c: result.fingerprint for c, result in ledger.results.items()}
    writer.start_launch(
        plan_rows(cells.values(), fingerprints),
        sweep.model_dump(mode="json"),
        "Written from the journals.",
    )
    for cell_id, attempt in to_write.items():
        cell, folder = cells[cell_id], cell_folder(sweep, cell_id)
        try:
            rows = read_journal(folder, attempt)
        except RunError as error:
            synced.damaged[cell_id] = str(error)
            continue
        starts = [row.fingerprint for row in rows if isinstance(row, StartRow)]
        fingerprint = fingerprints[cell_id] or (starts[0] if starts else "")
        writer.sync(
            folder,
            cell.run_name,
            cell_facts(cell, sweep, fingerprint, added_for.get(cell_id)),
            rows,
            attempt,
            ledger.results.get(cell_id),
            parent=parent_folder(cell, sweep),
            model=model_of(cell, sweep),
        )
        synced.num_written += 1
        on_cell(cell_id)
    num_done = sum(result.status is Status.DONE for result in ledger.results.values())
    whole = num_done == len(cells)
    note = f"Written from the journals: {num_done} of {len(cells)} cells done."
    writer.end_launch(note, whole, headline(cells.values(), ledger))
    return synced


def _num_reports(rows: Sequence[JournalRow]) -> int:
    return sum(isinstance(row, ReportRow) for row in rows)
