"""The driver's memory over a grid of 10,000 cells that do nothing.

    PYTHONPATH=. python benchmarks/driver_memory.py --folder /dev/shm/cells
    PYTHONPATH=. python benchmarks/driver_memory.py --folder /dev/shm/cells --cells 1000

Everything except training is as in a launch: a real Ray, the fan-out and the policy of a grid,
leases, journals, results, and MLflow's store. A cell takes its lease, reports once and ends.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.large_grid import axes_of
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.journal import Attempt
from raydt.grid.journal_rows import ReportRow
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import Result
from raydt.grid.schedule import Schedule
from raydt.orchestration.cluster.runtime import set_environment
from raydt.orchestration.run.recorder import Recorder
from raydt.orchestration.run.task import CellReport, CellTask, Processes, received, sent_report
from raydt.orchestration.start import open_store_and_ray
from raydt.storage.opening import open_folder
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Status
from raydt.tracking.store import open_store
from raydt.tracking.writer import Writer

_ROWS = 20


def do_nothing(config: dict[str, Any]) -> None:
    """Replaces the training of a cell."""
    from ray import tune

    task = received(config, CellTask)
    attempt = Attempt(open_folder(task.folder), open_folder(task.sweep), task.launch)
    attempt.begin(task.cell_id, task.fingerprint)
    row = ReportRow(bytes_seen=1, train_loss=1.0, val_loss=1.0, bytes_per_second=1.0, val_bpb=1.0)
    attempt.write(row)
    tune.report(sent_report(CellReport(attempt=attempt.attempt_id, row=row)))
    attempt.end(
        Result(
            cell_id=task.cell_id,
            fingerprint=task.fingerprint,
            attempt=attempt.attempt_id,
            model=task.model,
            time=time.time(),
            status=Status.DONE,
            test_loss=1.0,
            test_bpb=1.44,
            bytes_seen=1,
            training_seconds=1e-3,
            weights_sha256="0" * 64,
            seconds=1e-3,
        )
    )


class Quiet(Progress):
    """Says nothing, and measures this process every so many cells."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every = every
        self._began = time.perf_counter()
        self.num_ended = 0

    def print(self, text: str, style: str | None = None) -> None:
        """Nothing."""

    def ended(self, cell_id: str, result: Result) -> None:
        super().ended(cell_id, result)
        self.num_ended += 1
        if self.num_ended % self._every == 0:
            megabytes = psutil.Process().memory_info().rss / 1e6
            seconds = time.perf_counter() - self._began
            # Printed at once: an interrupted curve is informative, too.
            print(f"| {self.num_ended:,} | {megabytes:,.0f} | {seconds:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True, help="a new one, which is removed")
    parsed = parser.parse_args()
    parsed.folder.mkdir(parents=True)
    try:
        run(parsed.cells, parsed.folder)
    finally:
        shutil.rmtree(parsed.folder, ignore_errors=True)  # a process of Ray may still write


def run(num_cells: int, folder: Path) -> None:
    """A launch of at least this many cells."""
    set_environment()
    sweep = Sweep(storage=str(folder), name="nothing", slots=2, **axes_of(num_cells))
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    record_sweep(sweep)
    progress = Quiet(max(1, len(cells) // _ROWS))
    print("| cells | MB of the driver | s |\n|---|---|---|", flush=True)

    def open_writer() -> Writer:
        writer = Writer(open_store(sweep.store_uri), sweep.store_uri, sweep.name)
        writer.start_launch([], {}, "Running.")
        return writer

    with (
        LaunchLease(sweep.folder, on_lost=lambda: None) as lease,
        open_store_and_ray(sweep, open_writer, with_ray=True) as writer,
    ):
        from raydt.orchestration.grid.policy import GridPolicy
        from raydt.orchestration.grid.recorder import CellRecorder
        from raydt.orchestration.run.fan_out import fan_out

        class Idle(GridPolicy):
            """A grid whose cells do nothing."""

            trainable = staticmethod(do_nothing)

        tasks = {
            cell_id: CellTask(
                cell_id=cell_id,
                parent_id=cell.parent_id,
                fingerprint="0" * 64,
                launch=lease.launch_id,
                sweep=sweep.folder.uri,
                folder=cell_folder(sweep, cell_id).uri,
                cache=str(folder / "cache"),
                keep_weights=False,
                sample_seconds=None,
                data=(),
                model=cell.model,
                shape=sweep.model(cell.model),
                recipe=Recipe(),
                size_bytes=cell.size.num_bytes,
                seed=cell.seed,
                evaluation_growth=1.2,
                evaluations=8,
                tolerance=0.003,
                patience=4,
                language="nowhere",
                data_digest="0" * 64,
                val_bytes=1,
                test_bytes=1,
                test_stride_bytes=1,
                precision="auto",
                checkpoint_seconds=60.0,
                processes=Processes(),
            )
            for cell_id, cell in cells.items()
        }
        seconds = dict.fromkeys(cells, 1.0)
        recorder = Recorder()
        fingerprints = dict.fromkeys(cells, "0" * 64)
        recorded = CellRecorder(recorder, writer, sweep, cells, fingerprints, {})
        recorder.start()
        progress.begin(list(cells.values()), list(cells.values()), seconds, 2)
        schedule = Schedule(list(cells.values()), seconds)
        with Idle(sweep, schedule, tasks, progress, recorded) as policy:
            fan_out(policy, sweep.folder, sweep.max_retries)
        recorder.finish("the launch", lambda: None)


if __name__ == "__main__":
    main()
