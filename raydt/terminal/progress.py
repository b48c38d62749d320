"""Progress of the launch of a grid: a live table on a terminal, else a line per cell."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raydt.grid.cell import Cell
from raydt.grid.journal_rows import ReportRow
from raydt.grid.result import Result
from raydt.terminal.amounts import duration
from raydt.terminal.live import LiveProgress, plain_table
from raydt.tracking.schema import Status

_WITHOUT_RESULT = (Status.FAILED, Status.DIVERGED, Status.BLOCKED, Status.CANCELLED)
_MAX_ROWS = 12  # of running cells; a cluster may run hundreds


class Progress(LiveProgress):
    """Shows every event of a launch."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self._cells: dict[str, Cell] = {}
        self._seconds: Mapping[str, float] = {}
        self._num_slots = 1
        self._num_before = 0
        self._running: dict[str, float] = {}
        self._reports: dict[str, ReportRow] = {}
        self._status: dict[str, Status] = {}
        self._expected_of_done = 0.0
        self._actual_of_done = 0.0

    def begin(
        self,
        cells: list[Cell],
        missing: list[Cell],
        seconds: Mapping[str, float],
        num_slots: int,
        may_grow: bool = False,
    ) -> None:
        """The launch begins, with all cells, the missing ones, the expected seconds of each, the
        number of slots, and whether cells may be added later."""
        self._cells = {cell.cell_id: cell for cell in missing}
        self._num_before = len(cells) - len(missing)
        self._seconds = seconds
        self._num_slots = num_slots
        self._started = time.monotonic()
        if not missing:
            return
        before = f", {self._num_before} done before" if self._num_before else ""
        now = " for now" if may_grow else ""
        self.print(f"Training {len(missing)} cells{before}, {num_slots} at a time{now}")
        self._show()

    def added(self, cells: Sequence[Cell], why: str) -> None:
        """Cells were added to the launch."""
        with self._lock:
            self._cells |= {cell.cell_id: cell for cell in cells}
        self.print(f"Adding {', '.join(cell.run_name for cell in cells)}: {why}", style="cyan")

    def started(self, cell_id: str) -> None:
        """A cell started, or was started again after an interruption."""
        with self._lock:
            self._running.setdefault(cell_id, time.monotonic())

    def reported(self, cell_id: str, row: ReportRow) -> None:
        """A running cell was evaluated."""
        with self._lock:
            self._reports[cell_id] = row

    def ended(self, cell_id: str, result: Result) -> None:
        """A cell is done, failed or diverged."""
        status = result.status
        with self._lock:
            began = self._running.pop(cell_id, time.monotonic())
            took = time.monotonic() - began
            self._status[cell_id] = status
            self._expected_of_done += self._seconds[cell_id]
            self._actual_of_done += took
            name = self._cells[cell_id].run_name
            if status is Status.DONE:
                line = f"{name:<24} {result.test_bpb:.3f} bpb  {duration(took)}"
            else:
                line = f"{name:<24} {status}: {result.reason}"
            self._keep(line)
            left = self._seconds_left()
        if self._live is None:
            done = self._num_before + len(self._status)
            total = self._num_before + len(self._cells)
            ahead = f"  about {duration(left)} left" if left else ""
            self.print(f"[{done}/{total}] {line}{ahead}")
        elif status is not Status.DONE:
            self.print(line, style="red")

    def interrupted(self, cell_id: str, line: str) -> None:
        """A running cell was interrupted and will be retried; `line` says why and when."""
        with self._lock:
            self._running.pop(cell_id, None)
        self.print(f"{self._cells[cell_id].run_name:<24} {line}", style="yellow")

    def blocked(self, cell: Cell) -> None:
        """A cell will not start, because its parent failed."""
        with self._lock:
            self._status[cell.cell_id] = Status.BLOCKED
        self.print(f"{cell.run_name:<24} blocked: {cell.parent_id} is not done")

    def cancelled(self, cell_id: str) -> None:
        """A running cell was cancelled."""
        with self._lock:
            self._running.pop(cell_id, None)
            self._status[cell_id] = Status.CANCELLED
        self.print(f"{self._cells[cell_id].run_name:<24} cancelled", style="yellow")

    def _seconds_left(self) -> float:
        """Expected time of the remaining cells, corrected by the ratio of actual to expected so
        far."""
        pace = self._actual_of_done / self._expected_of_done if self._expected_of_done else 1.0
        now = time.monotonic()
        left = sum(
            max(0.0, self._seconds[cell_id] * pace - (now - self._running.get(cell_id, now)))
            for cell_id in self._cells
            if cell_id not in self._status
        )
        return left / self._num_slots

    def _head(self) -> tuple[ProgressBar, Sequence[Text]]:
        counts = Counter(self._status.values())
        counts[Status.DONE] += self._num_before
        counts[Status.RUNNING] = len(self._running)
        total = self._num_before + len(self._cells)
        bad = sum(counts[status] for status in _WITHOUT_RESULT)
        done = counts[Status.DONE]
        return ProgressBar(total=total, completed=done + bad, width=28), [
            Text(f"{done} done", style="green"),
            Text(f"{counts[Status.RUNNING]} running", style="cyan"),
            Text(f"{total - counts.total()} waiting"),
            Text(f"{bad} failed", style="bold red" if bad else "dim"),
        ]

    def _left(self, elapsed_seconds: float) -> str:
        return f", about {duration(self._seconds_left())} left"

    def _tables(self) -> Sequence[Table]:
        table = plain_table()
        table.add_column("running", min_width=24)
        table.add_column("seen", justify="right")
        table.add_column("val bpb", justify="right")
        table.add_column("for", justify="right")
        running = sorted(self._running.items(), key=lambda item: item[1])[:_MAX_ROWS]
        for cell_id, began in running:
            table.add_row(*self._row(cell_id, began))
        return [table]

    def _row(self, cell_id: str, began: float) -> tuple[str, str, str, str]:
        report = self._reports.get(cell_id)
        cell = self._cells[cell_id]
        return (
            cell.run_name,
            f"{report.bytes_seen / 1000:,.0f} kB" if report else "",
            f"{report.val_bpb:.3f}" if report else "",
            duration(time.monotonic() - began),
        )
