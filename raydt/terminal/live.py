"""The output of a running launch: lines, and on a terminal a live view below them."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raydt.terminal.amounts import duration

_LAST_LINES = 3  # the last results, repeated below the live view


class LiveProgress(ABC):
    """Base of the live displays: a progress bar with counts, times, tables and the last lines.
    Subclasses provide counts and tables. Safe to call from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        # Progress goes to stderr, so that scripts can read stdout.
        self.console = console or Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._started = time.monotonic()
        self._last: list[str] = []

    def print(self, text: str, style: str | None = None) -> None:
        """Print a line above the live view, without markup."""
        self.console.print(Text(text, style=style or ""), soft_wrap=True)

    def end(self) -> None:
        """Stop the live view: the launch has ended or was interrupted."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self) -> None:
        """Start the live view if the output is a terminal."""
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()

    def _keep(self, line: str) -> None:
        """Add a line to the last results."""
        self._last = [*self._last, line][-_LAST_LINES:]

    def _render(self) -> Group:
        elapsed = time.monotonic() - self._started
        with self._lock:
            bar, counts = self._head()
            left = self._left(elapsed)
            tables = self._tables()
            last = list(self._last)
        head = Table.grid(padding=(0, 2))
        head.add_row(bar, *counts)
        times = Text(f"{duration(elapsed)}{left}", style="dim")
        spaced = [part for table in tables for part in (Text(), table)]
        return Group(head, times, *spaced, Text(), *(Text(line, style="dim") for line in last))

    @abstractmethod
    def _head(self) -> tuple[ProgressBar, Sequence[Text]]:
        """The progress bar and the counts beside it."""

    @abstractmethod
    def _left(self, elapsed_seconds: float) -> str:
        """`, about 5 min left`; empty if unknown."""

    @abstractmethod
    def _tables(self) -> Sequence[Table]:
        """What is being trained, and results so far."""


def plain_table() -> Table:
    """A table for a live view."""
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
