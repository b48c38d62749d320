"""The overhead of a small cell beyond its training: in a launch, and with one worker group per
cell.

    PYTHONPATH=. python benchmarks/cell_overhead.py
    PYTHONPATH=. python benchmarks/cell_overhead.py --cells 20 --groups 4

One run measures three things, one after the other, all with one cell at a time:

- plain: the training loop alone, in this process;
- launch: the same cells as part of a grid, by `sweeps/grid.py` with one slot: journal, lease,
  checkpoint, weights, result, MLflow. The wall time of a cell is from the end of the previous cell
  to its own end, according to the journals, so that nothing between cells is left out;
- worker group: the same cells by `ray.train.torch.TorchTrainer` with one worker each (the peer).

The overhead is the wall time minus that of the same cell in the plain loop. The first cell of each
is left out: it includes the start of processes and imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.busy_slots import ROOT, spans_of
from benchmarks.peers.worker_group import by_worker_groups, train_plainly
from raydt.config.sweep import Sweep
from raydt.corpora.preparing.prepare import prepare_corpus
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.terminal.status import find_sweep
from raydt.tracking.schema import Stage

GRID = (
    "--sources related --targets alba --sizes 4k --pretrain-size 8k --slots 1 --name overhead "
    "--protocol.pretrain.epochs 1 --protocol.scratch.epochs 5 --protocol.finetune.epochs 5 "
    "--protocol.evaluation-growth 1 --protocol.evaluations 3 --protocol.tolerance 0 "
    "--protocol.val-bytes 4k --protocol.test-bytes 4k"
).split()


def launched(storage: Path, num_cells: int) -> tuple[Sweep, list[Cell], list[float]]:
    """The scratch cells of a launch, in the order in which they ended, and their wall seconds."""
    seeds = [str(seed) for seed in range(num_cells)]
    grid = [sys.executable, str(ROOT / "sweeps" / "grid.py"), *GRID, "--seeds", *seeds]
    subprocess.run(
        [*grid, "--storage", str(storage)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sweep = find_sweep(str(storage), "overhead")
    cells = build_grid(sweep)
    spans = spans_of(sweep, cells)
    ordered = sorted(cells, key=lambda cell: spans[cell.cell_id].end)
    ends = [spans[cell.cell_id].end for cell in ordered]
    walls = [
        (cell, end - before)
        for cell, end, before in zip(ordered[1:], ends[1:], ends[:-1], strict=True)
        if cell.stage is Stage.SCRATCH
    ]
    return sweep, [cell for cell, _ in walls], [seconds for _, seconds in walls]


def plain_task(sweep: Sweep, cell: Cell) -> dict[str, Any]:
    """What `train_plainly` needs of a cell of the launch, its data prepared already."""
    protocol = sweep.protocol
    val_bytes, test_bytes = protocol.most_val_bytes, protocol.most_test_bytes
    languages = prepare_corpus(
        locate(parse_corpus(sweep.corpus)),
        sweep.train_bytes(),
        val_bytes,
        test_bytes,
        sweep.local_storage / "corpora",
    )
    return {
        "language": str(languages[str(cell.target)].folder),
        "model": cell.model,
        "protocol": protocol.model_dump(mode="json"),
        "stage": str(cell.stage),
        "size_bytes": cell.size.num_bytes,
        "seed": cell.seed,
        "val_bytes": val_bytes,
        "test_bytes": test_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--cells", type=int, default=20, help="scratch cells of the launch")
    parser.add_argument(
        "--groups", type=int, default=4, help="worker groups, the first not counted"
    )
    parsed = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        storage = Path(temporary)
        sweep, cells, in_launch = launched(storage, parsed.cells)
        tasks = [plain_task(sweep, cell) for cell in cells]
        train_plainly(tasks[0])  # imports, first allocations
        plainly = [train_plainly(task) for task in tasks]
        load_between = os.getloadavg()[0]
        in_groups = by_worker_groups(tasks[: parsed.groups], storage / "groups")[1:]
    training = median(plainly)
    of_launch = median(wall - plain for wall, plain in zip(in_launch, plainly, strict=True))
    of_groups = median(in_groups) - training
    table = Table("how", "cells", "wall a cell", "beyond training", "asked")
    table.add_row("plain loop", f"{len(plainly)}", f"{training:.3f} s", "", "")
    table.add_row(
        "launch",
        f"{len(in_launch)}",
        f"{median(in_launch):.3f} s",
        f"{of_launch:.3f} s",
        "<= 0.5 s",
    )
    table.add_row(
        "TorchTrainer, one worker",
        f"{len(in_groups)}",
        f"{median(in_groups):.1f} s",
        f"{of_groups:.1f} s",
        "",
    )
    console = Console()
    console.print(table)
    console.print(f"worker group / launch, beyond training: {of_groups / of_launch:.0f}x (>= 20x)")
    console.print(
        f"load {load_before:.1f} before, {load_between:.1f} between, "
        f"{os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
