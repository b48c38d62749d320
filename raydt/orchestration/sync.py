"""A store rebuilt from the journals alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.build import build_grid
from raydt.grid.journal import holder, read_journal
from raydt.grid.journal_rows import StartRow
from raydt.grid.lease import is_alive, running_launch
from raydt.grid.ledger import Ledger, cell_folder
from raydt.orchestration.grid.facts import cell_facts, headline, plan_rows
from raydt.tracking.recorded import experiment_key, is_recorded
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer


@dataclass
class Synced:
    """What a sync came to."""

    num_written: int = 0
    num_there: int = 0
    damaged: dict[str, str] = field(default_factory=dict)  # cell id -> what is wrong


def sync_store(sweep: Sweep, on_cell: Callable[[str], None] = lambda _: None) -> Synced:
    """Bring the store of `sweep` up to what the cells' folders say; again, and it does nothing.

    Cells that were cut off are written as far as they came. `RunError` while a launch is at work,
    which is the store's one writer.
    """
    if is_alive(running_launch(sweep.folder)):
        raise RunError(f"sweep {sweep.name}: a launch is at work, and writes the store itself")
    cells = build_grid(sweep)
    ledger = Ledger.read(sweep, cells)
    writer = Writer(open_store(sweep.store_uri), sweep.store_uri, sweep.name)
    experiment = experiment_key(sweep.store_uri, sweep.name)
    synced = Synced()
    to_write = []
    for cell in cells:
        folder = cell_folder(sweep, cell.cell_id)
        if cell.cell_id in ledger.results and is_recorded(folder, sweep.store_uri, experiment):
            synced.num_there += 1
        elif cell.cell_id in ledger.results or holder(folder) is not None:
            to_write.append(cell)
    if not to_write:
        return synced
    fingerprints: dict[str, str | None] = dict.fromkeys(cell.cell_id for cell in cells)
    fingerprints |= {c: result.fingerprint for c, result in ledger.results.items()}
    writer.start_launch(
        plan_rows(cells, fingerprints), sweep.model_dump(mode="json"), "Written from the journals."
    )
    for cell in to_write:
        folder = cell_folder(sweep, cell.cell_id)
        result = ledger.results.get(cell.cell_id)
        lease = holder(folder)
        holding = result if result is not None else lease
        assert holding is not None, "it has a result, or a lease"
        attempt = holding.attempt
        try:
            rows = read_journal(folder, attempt)
        except RunError as error:
            synced.damaged[cell.cell_id] = str(error)
            continue
        starts = [row.fingerprint for row in rows if isinstance(row, StartRow)]
        fingerprint = fingerprints[cell.cell_id] or (starts[0] if starts else "")
        facts = cell_facts(cell, sweep, fingerprint)
        writer.sync(folder, cell.run_name, facts, rows, attempt, result)
        synced.num_written += 1
        on_cell(cell.cell_id)
    num_done = sum(result.status is Status.DONE for result in ledger.results.values())
    whole = num_done == len(cells)
    note = f"Written from the journals: {num_done} of {len(cells)} cells done."
    writer.end_launch(note, whole, headline(cells, ledger))
    return synced
