"""Worker groups report only into their journals, so a thread of the driver polls these."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raydt.errors import RunError
from raydt.grid.journal import holder, read_journal
from raydt.grid.journal_rows import ReportRow
from raydt.orchestration.run.task import CellReport
from raydt.storage.folder import Folder

_POLL_SECONDS = 5.0


class GroupWatch:
    """Forwards the last report of every cell that a worker group trains."""

    def __init__(
        self, folder_of: Callable[[str], Folder], on_report: Callable[[str, CellReport], None]
    ) -> None:
        self._folder_of = folder_of
        self._on_report = on_report
        self._cells: set[str] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="groups", daemon=True)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def end(self) -> None:
        """Stop polling."""
        self._ending.set()
        self._thread.join()

    def add(self, cell_id: str) -> None:
        """Watch a cell that a group trains."""
        self._cells.add(cell_id)

    def discard(self, cell_id: str) -> None:
        """Stop watching a cell, if it was watched."""
        self._cells.discard(cell_id)

    def _watch(self) -> None:
        while not self._ending.wait(_POLL_SECONDS):
            for cell_id in list(self._cells):
                folder = self._folder_of(cell_id)
                try:
                    lease = holder(folder)
                    rows = read_journal(folder, lease.attempt) if lease else []
                except (RunError, OSError):
                    continue  # only the display is late; the result is read at the end
                reports = [row for row in rows if isinstance(row, ReportRow)]
                if lease is not None and reports:
                    self._on_report(cell_id, CellReport(attempt=lease.attempt, row=reports[-1]))
