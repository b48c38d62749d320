"""MLflow beside the training: a thread of the driver, the store's one writer.

It reads journals, so it may fall behind or fail without harm: what is missing is written by the
next launch.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.cell import Cell
from raydt.grid.journal import read_journal
from raydt.grid.ledger import cell_folder
from raydt.orchestration.grid.facts import cell_facts
from raydt.tracking.writer import Writer

# While a cell runs its numbers reach MLflow this often; at its end at once.
_SECONDS_BETWEEN_SYNCS = 5.0
# A store that was away is tried again this often, as long as the launch lasts.
_SECONDS_BETWEEN_TRIES = 5.0
# One cell that cannot be written may be the cell's trouble; so many in a row are the store's.
_FAILURES_OF_A_STORE = 3


class Recorder(threading.Thread):
    """Takes cells to bring up to date in the store."""

    def __init__(
        self,
        writer: Writer,
        sweep: Sweep,
        cells: Mapping[str, Cell],
        fingerprints: Mapping[str, str],
    ) -> None:
        super().__init__(name="mlflow", daemon=True)
        self._writer = writer
        self._sweep = sweep
        self._cells = cells
        self._fingerprints = fingerprints
        self._queue: queue.Queue[tuple[str, str, Mapping[str, Any] | None] | None] = queue.Queue()
        self._finishing = threading.Event()
        self._answers = True  # whether the store did, the last time
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

    def finish(self, note: str, whole: bool, headline: Mapping[str, float]) -> None:
        """Write what is queued and what a store that is back has missed; close the launch."""
        self._finishing.set()
        self._queue.put(None)
        self.join()
        self._answers = True  # it may be back: the first call tells
        self._write_missed()
        if self._answers:
            self._tried("this launch", lambda: self._writer.end_launch(note, whole, headline))

    def run(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_SECONDS_BETWEEN_TRIES if self._missed else None)
            except queue.Empty:
                self._answers = True
                self._write_missed()
                continue
            if item is None:
                return
            cell_id, attempt, result = item
            if self._answers:
                self._sync(cell_id, attempt, result)
            else:
                # Nobody should wait for a store that is away, call after call.
                self._missed[cell_id] = (attempt, result)
                self.not_recorded.setdefault(cell_id, "the store does not answer")

    def _write_missed(self) -> None:
        failures = 0
        for cell_id, (attempt, result) in list(self._missed.items()):
            del self._missed[cell_id]  # to the end, if it fails: it must not stand before others
            self._sync(cell_id, attempt, result)
            failures = 0 if self._answers else failures + 1
            if failures == _FAILURES_OF_A_STORE:
                return

    def _sync(self, cell_id: str, attempt: str, result: Mapping[str, Any] | None) -> None:
        cell = self._cells[cell_id]
        folder = cell_folder(self._sweep, cell_id)
        try:
            rows = read_journal(folder, attempt)
        except (RunError, OSError) as error:
            # This cell's own trouble; the store has nothing to do with it.
            self.not_recorded[cell_id] = str(error)
            return

        def sync() -> None:
            facts = cell_facts(cell, self._sweep, self._fingerprints[cell_id])
            self._writer.sync(folder, cell.run_name, facts, rows, attempt, result)

        if self._tried(cell_id, sync):
            self._missed.pop(cell_id, None)
        else:
            self._missed[cell_id] = (attempt, result)

    def _tried(self, what: str, write: Callable[[], None]) -> bool:
        try:
            write()
        # Whatever a tracking server does, training goes on; the launch says what is missing.
        except Exception as error:  # noqa: BLE001
            self._answers = False
            self.not_recorded[what] = f"{type(error).__name__}: {error}".splitlines()[0]
            return False
        self._answers = True
        self.not_recorded.pop(what, None)
        return True
