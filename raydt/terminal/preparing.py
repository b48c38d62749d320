"""Progress of preparing languages: a bar per language on a terminal, else a line per language."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from raydt.terminal.amounts import duration


class PreparationProgress:
    """A context manager that shows the progress of each language, by default on stderr."""

    def __init__(self, num_languages: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._num_languages = num_languages
        self._num_ready = 0
        self._started = time.monotonic()
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.fields[language]}"),
            TextColumn("{task.description}", style="dim"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def on_bytes(self, language: str, phase: str, done: int, total: int | None) -> None:
        """`done` of the `total` bytes of a phase are processed for a language."""
        key = (language, phase)
        if key not in self._tasks:
            # Bytes read before a restart must not count in the speed of this run.
            self._tasks[key] = self._bars.add_task(
                phase, total=total, completed=done, language=language
            )
        self._bars.update(self._tasks[key], completed=done, total=total)

    def on_language(self, language: str) -> None:
        """A language is prepared."""
        for (name, _), task in self._tasks.items():
            if name == language:
                self._bars.update(task, visible=False)
        self._num_ready += 1
        took = duration(time.monotonic() - self._started)
        self._bars.console.print(
            f"{language} ready ({self._num_ready} of {self._num_languages}, {took})", markup=False
        )
