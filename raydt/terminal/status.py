"""The status of the cells of a sweep, read from storage only."""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table

from raydt.config.sweep import Sweep
from raydt.errors import bad
from raydt.grid.added import sweep_cells
from raydt.grid.ledger import Ledger, recorded_sweep, recorded_sweeps
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Stage, Status


def find_sweep(storage: str, name: str | None) -> Sweep:
    """The sweep of that name in `storage`, or the only one there; else an `InputError`."""
    folder = open_folder(storage)
    path = folder.local_path
    if path is not None and not path.is_dir():
        found = "a file" if path.exists() else "no folder"
        raise bad(f"storage {storage}", "a folder with a sweep in it", found)
    sweeps = recorded_sweeps(folder)
    listed = ", ".join(sweeps) or "no sweep"
    if name is None and len(sweeps) != 1:
        raise bad("sweep", f"a name, unless {storage} has exactly one sweep", listed)
    if name is not None and name not in sweeps:
        raise bad("sweep", f"a sweep in {storage} ({listed})", repr(name))
    return recorded_sweep(storage, name or sweeps[0])


def show_status(storage: str, name: str | None, console: Console) -> None:
    """Print a row per stage, and the reason of every cell that failed."""
    sweep = find_sweep(storage, name)
    cells = sweep_cells(sweep)
    ledger = Ledger.read(sweep, cells)
    statuses = {cell.cell_id: ledger.status(cell) for cell in cells}
    running = {Status.RUNNING} & set(statuses.values())  # omit the column without a launch
    shown = [status for status in Status if status in running or status is not Status.RUNNING]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"sweep {sweep.name}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("stage")
    for status in shown:
        table.add_column(status, justify="right")
    for stage in Stage:
        counts = Counter(statuses[cell.cell_id] for cell in cells if cell.stage is stage)
        table.add_row(stage, *(str(counts[status]) if counts[status] else "·" for status in shown))
    console.print(table)
    for cell in cells:
        result = ledger.results.get(cell.cell_id)
        if result is not None and result.reason:
            console.print(f"{cell.cell_id}: {result.status}: {result.reason}", markup=False)
