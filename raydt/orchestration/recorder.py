"""MLflow beside the training: a thread of the driver, the store's one writer.

It reads journals, so it may fall behind or fail without harm: what is missing is written by the
next launch.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.journal import read_journal
from raydt.orchestration.task import cell_facts
from raydt.tracking.writer import Writer

# While a cell runs its numbers reach MLflow this often; at its end at once.
_SECONDS_BETWEEN_SYNCS = 5.0


class Recorder(threading.Thread):
    """Takes cells to bring up to date in the store."""

    def __init__(
        self,
        writer: Writer,
        sweep: Sweep,
        cells: Mapping[str, Cell],
        tasks: Mapping[str, Mapping[str, Any]],
    ) -> None:
        super().__init__(name="mlflow", daemon=True)
        self._writer = writer
        self._sweep = sweep
        self._cells = cells
        self._tasks = tasks
        self._queue: queue.Queue[tuple[str, str, Mapping[str, Any] | None] | None] = queue.Queue()
        self._finishing = threading.Event()
        self._answers = True  # whether the last write succeeded
        self._missed: dict[str, tuple[str, Mapping[str, Any] | None]] = {}
        self._last_sync: dict[str, float] = {}
        self.not_recorded: dict[str, str] = {}  # cell id, or `this launch` -> why

    def reported(self, cell_id: str, attempt: str) -> None:
        """A running cell has journaled a report."""
        now = time.monotonic()
        # The first report of a cell waits too: most small cells end before their turn comes.
        if now - self._last_sync.setdefault(cell_id, now) >= _SECONDS_BETWEEN_SYNCS:
            self._last_sync[cell_id] = now
            self._queue.put((cell_id, attempt, None))

    def ended(self, cell_id: str, result: Mapping[str, Any]) -> None:
        """A cell has its result."""
        self._queue.put((cell_id, result["attempt"], result))

    def finish(self, note: str, whole: bool) -> None:
        """Write what is queued and what a store that is back has missed; close the launch."""
        self._finishing.set()
        self._queue.put(None)
        self.join()
        for cell_id, (attempt, result) in list(self._missed.items()):
            if not self._answers:
                break
            self._sync(cell_id, attempt, result)
        if self._answers:
            self._answers = self._tried("this launch", lambda: self._writer.end_launch(note, whole))

    def run(self) -> None:
        while (item := self._queue.get()) is not None:
            cell_id, attempt, result = item
            # At the end nobody should wait for a store that is away, call after call.
            if self._finishing.is_set() and not self._answers:
                self._missed[cell_id] = (attempt, result)
                self.not_recorded.setdefault(cell_id, "the store does not answer")
            else:
                self._sync(cell_id, attempt, result)

    def _sync(self, cell_id: str, attempt: str, result: Mapping[str, Any] | None) -> None:
        cell, task = self._cells[cell_id], self._tasks[cell_id]
        folder = Path(task["folder"])

        def sync() -> None:
            facts = cell_facts(cell, self._sweep, task)
            rows = read_journal(folder, attempt)
            self._writer.sync(folder, cell.run_name, facts, rows, attempt, result)

        self._answers = self._tried(cell_id, sync)
        if self._answers:
            self._missed.pop(cell_id, None)
        else:
            self._missed[cell_id] = (attempt, result)

    def _tried(self, what: str, write: Callable[[], None]) -> bool:
        try:
            write()
        # Whatever a tracking server does, training goes on; the launch says what is missing.
        except Exception as error:  # noqa: BLE001
            self.not_recorded[what] = f"{type(error).__name__}: {error}".splitlines()[0]
            return False
        self.not_recorded.pop(what, None)
        return True
