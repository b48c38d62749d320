"""How a launch looks while it runs: lines, and on a terminal a live view below them."""

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

_LAST_LINES = 3  # of what has ended, shown again below the live view


class LiveProgress(ABC):
    """The frame of a display: a bar with counts, times, tables and the last lines. What is counted
    and what stands in the tables is said by those who derive from it. Safe to call from any thread.
    """

    def __init__(self, console: Console | None = None) -> None:
        # What is shown goes to stderr, so that stdout stays what a script may read.
        self.console = console or Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._started = time.monotonic()
        self._last: list[str] = []

    def say(self, text: str, style: str | None = None) -> None:
        """A line before or after the table; its brackets are brackets."""
        self.console.print(Text(text, style=style or ""), soft_wrap=True)

    def end(self) -> None:
        """The launch is over, or was interrupted."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self) -> None:
        """Begin the live view, if there is a terminal."""
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()

    def _keep(self, line: str) -> None:
        """A line about what has ended: shown again until others have."""
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
        """How far the launch is, and what there is of each."""

    @abstractmethod
    def _left(self, elapsed_seconds: float) -> str:
        """`, about 5 min left`; empty where nothing is known."""

    @abstractmethod
    def _tables(self) -> Sequence[Table]:
        """What is being trained, and what was found."""


def plain_table() -> Table:
    """A table of a live view."""
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
