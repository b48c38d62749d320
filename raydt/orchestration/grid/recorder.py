"""Record cells in MLflow. Their journals are read when they are written to the store."""

from __future__ import annotations

import time
from collections.abc import Mapping

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.cell import Cell
from raydt.grid.journal import read_journal
from raydt.grid.ledger import cell_folder
from raydt.grid.result import Result
from raydt.orchestration.grid.facts import cell_facts, model_of, parent_folder
from raydt.orchestration.run.recorder import Recorder, UnreadableError
from raydt.tracking.writer import Writer

# How often the numbers of a running cell reach MLflow; those of an ended cell do at once.
_SECONDS_BETWEEN_SYNCS = 5.0


class CellRecorder:
    """Updates cells in the store through a `Recorder`. The mappings of cells, fingerprints and
    reasons may grow."""

    def __init__(
        self,
        recorder: Recorder,
        writer: Writer,
        sweep: Sweep,
        cells: Mapping[str, Cell],
        fingerprints: Mapping[str, str],
        added_for: Mapping[str, str],
    ) -> None:
        self._recorder = recorder
        self._writer = writer
        self._sweep = sweep
        self._cells = cells
        self._fingerprints = fingerprints
        self._added_for = added_for
        self._last_sync: dict[str, float] = {}

    def reported(self, cell_id: str, attempt: str) -> None:
        """A running cell wrote a report to its journal."""
        now = time.monotonic()
        # The first report waits too: most small cells end before their first update.
        if now - self._last_sync.setdefault(cell_id, now) >= _SECONDS_BETWEEN_SYNCS:
            self._last_sync[cell_id] = now
            self._put(cell_id, attempt, None)

    def ended(self, cell_id: str, result: Result) -> None:
        """A cell has its result."""
        self._put(cell_id, result.attempt, result)

    def cancelled(self, cell_id: str) -> None:
        """A cell was cancelled: end its run, if it has one."""
        folder = cell_folder(self._sweep, cell_id)
        self._recorder.put(cell_id, lambda: self._writer.cancelled(folder))

    def _put(self, cell_id: str, attempt: str, result: Result | None) -> None:
        self._recorder.put(cell_id, lambda: self._sync(cell_id, attempt, result))

    def _sync(self, cell_id: str, attempt: str, result: Result | None) -> None:
        cell = self._cells[cell_id]
        folder = cell_folder(self._sweep, cell_id)
        try:
            rows = read_journal(folder, attempt)
        except (RunError, OSError) as error:
            raise UnreadableError(str(error)) from None
        fingerprint = self._fingerprints[cell_id]
        facts = cell_facts(cell, self._sweep, fingerprint, self._added_for.get(cell_id))
        self._writer.sync(
            folder,
            cell.run_name,
            facts,
            rows,
            attempt,
            result,
            parent=parent_folder(cell, self._sweep),
            model=model_of(cell, self._sweep),
        )
