"""A plan of 100,000 cells, and the status of 10,000 cells on a disk: seconds and peak memory.

    PYTHONPATH=. python benchmarks/large_grid.py
    PYTHONPATH=. python benchmarks/large_grid.py --cells 1000 --status-cells 500
    PYTHONPATH=. python benchmarks/large_grid.py --store   # an object store, 30 ms an answer

Each command is a separate process, as a user starts it. The ledger is written by the code of a
launch: an attempt takes its lease, journals its reports and its end, and its outcome becomes the
cell's result, with 20 calls of fsync per cell (free with `--folder` in /dev/shm). For comparison
there is `raydt --help` in the same run, the minimum of any Python command under the machine's load;
CPU seconds are what a command would take on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.done_result import done_result
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.journal import Attempt
from raydt.grid.journal_rows import ReportRow
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.orchestration.grid.commit import Committer
from raydt.storage.folder import Folder

SEEDS, SIZES = 5, ("8k", "32k", "128k", "512k", "2M")
_MEASURED = (
    "import resource, subprocess, sys, time; start = time.perf_counter(); "
    "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(code, time.perf_counter() - start, "
    "(used := resource.getrusage(resource.RUSAGE_CHILDREN)).ru_utime + used.ru_stime, "
    "used.ru_maxrss)"
)


def axes_of(num_cells: int) -> dict[str, Any]:
    """A square grid of languages with at least so many cells."""
    per_pair = SEEDS * (len(SIZES) + 1)
    side = 1
    while per_pair * side * side + SEEDS * side * (1 + len(SIZES)) < num_cells:
        side += 1
    return {
        "sources": tuple(f"s{number:03d}" for number in range(side)),
        "targets": tuple(f"t{number:03d}" for number in range(side)),
        "sizes": SIZES,
        "seeds": tuple(range(SEEDS)),
        "corpus": "files:.",
    }


def measured(*command: str) -> tuple[str, str, str]:
    """Wall seconds, CPU seconds and peak MB of a command; it has to succeed."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command], capture_output=True, text=True, check=True
    )
    out = done.stdout.split()
    code, seconds, cpu_seconds, kilobytes = int(out[0]), *map(float, out[1:])
    if code != 0:
        raise SystemExit(f"{' '.join(command)[:200]}: exit code {code}\n{done.stderr}")
    return f"{seconds:.2f}", f"{cpu_seconds:.2f}", f"{kilobytes * 1024 / 1e6:.0f}"


def plan_words(axes: dict[str, Any], texts: Path) -> list[str]:
    """The options of a plan; its languages are files that are there."""
    for language in (*axes["sources"], *axes["targets"]):
        with (texts / f"{language}.txt").open("wb") as file:
            file.truncate(3_000_000)  # large enough for the largest size; nobody reads it
    return [
        "--corpus",
        f"files:{texts}",
        "--storage",
        str(texts.parent / "plan"),
        "--sources",
        *axes["sources"],
        "--targets",
        *axes["targets"],
        "--sizes",
        *axes["sizes"],
        "--seeds",
        *map(str, axes["seeds"]),
    ]


def write_ledger(storage: Path, num_cells: int) -> tuple[int, float]:
    """A sweep whose cells are done; how many there are, and seconds per cell to write them."""
    sweep = Sweep(**axes_of(num_cells), name="large", storage=str(storage))
    record_sweep(sweep)
    cells = build_grid(sweep)
    start = time.perf_counter()
    with LaunchLease(sweep.folder, on_lost=lambda: None) as lease:
        for number, cell in enumerate(cells):
            write_cell(cell_folder(sweep, cell.cell_id), sweep.folder, lease.launch_id, number)
    return len(cells), (time.perf_counter() - start) / len(cells)


def write_cell(folder: Folder, sweep: Folder, launch_id: str, number: int) -> None:
    """One cell from its lease to its result, with the eight reports of a cell of the demo."""
    attempt = Attempt(folder, sweep, launch_id)
    attempt.begin(folder.uri, f"{number:064d}")
    for report in range(8):
        attempt.write(
            ReportRow(
                bytes_seen=report * 40_000,
                train_loss=2.0 - report / 10,
                val_loss=2.1 - report / 10,
                val_bpb=3.0 - report / 7,
                bytes_per_second=60_000.0,
            )
        )
    attempt.end(done_result(folder.uri, f"{number:064d}", attempt.attempt_id))
    Committer(sweep, launch_id).commit(folder, f"{number:064d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--cells", type=int, default=100_000, help="of the plan")
    parser.add_argument("--status-cells", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="for the ledger, which stays [a temporary one]")
    parser.add_argument("--store", action="store_true", help="in an object store, nothing else")
    parser.add_argument("--milliseconds", type=float, default=30.0, help="of the store's answers")
    parsed = parser.parse_args()
    if parsed.store:
        from benchmarks.stored_grid import measure_store

        Console().print(measure_store(axes_of(parsed.status_cells), parsed.milliseconds, measured))
        Console().print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        return
    raydt = (sys.executable, "-m", "raydt")
    table = Table("command", "cells", "seconds", "of them CPU", "peak MB", "asked")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "texts").mkdir()
        axes = axes_of(parsed.cells)
        num_cells = len(build_grid(Sweep(**axes)))
        table.add_row("raydt --help", "", *measured(*raydt, "--help"), "")
        figures = measured(*raydt, "plan", *plan_words(axes, folder / "texts"))
        table.add_row("raydt plan", f"{num_cells:,}", *figures, "5 s, 500 MB")
        storage = parsed.folder or folder / "runs"
        num_cells, writing_seconds = write_ledger(storage, parsed.status_cells)
        for name in ("raydt status", "raydt status, again"):
            figures = measured(*raydt, "status", "large", "--storage", str(storage))
            table.add_row(name, f"{num_cells:,}", *figures, "2 s")
    console = Console()
    console.print(table)
    console.print(f"writing a cell's ledger entries: {1000 * writing_seconds:.1f} ms")
    console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
