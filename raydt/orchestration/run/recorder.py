"""MLflow beside the training: a thread of the driver, the store's one writer.

What it writes stands on the storage already, so it may fall behind or fail without harm: what is
missing is written by the next launch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

# A store that was away is tried again this often, as long as the launch lasts.
_SECONDS_BETWEEN_TRIES = 5.0
# One write that fails may be its own trouble; so many in a row are the store's.
_FAILURES_OF_A_STORE = 3


class UnreadableError(Exception):
    """What was to be written cannot be read; the store has nothing to do with it."""


class Recorder(threading.Thread):
    """Takes what is to be written into the store, by name: a cell, a trial, a file.

    A write may be made again, and has to come to the same. Of one name the newest is kept.
    """

    def __init__(self) -> None:
        super().__init__(name="mlflow", daemon=True)
        self._queue: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue()
        self._answers = True  # whether the store did, the last time
        self._missed: dict[str, Callable[[], None]] = {}
        self.not_recorded: dict[str, str] = {}  # name -> why

    def put(self, name: str, write: Callable[[], None]) -> None:
        """Have something written, soon."""
        self._queue.put((name, write))

    def finish(self, name: str, write: Callable[[], None]) -> None:
        """Write what is queued and what a store that is back has missed, and this at the end."""
        self._queue.put(None)
        self.join()
        self._answers = True  # it may be back: the first call tells
        self._write_missed()
        if self._answers:
            self._try(name, write)

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
            name, write = item
            if self._answers:
                self._try(name, write)
            else:
                # Nobody should wait for a store that is away, call after call.
                self._missed[name] = write
                self.not_recorded.setdefault(name, "the store does not answer")

    def _write_missed(self) -> None:
        failures = 0
        for name, write in list(self._missed.items()):
            del self._missed[name]  # to the end, if it fails: it must not stand before others
            self._try(name, write)
            failures = 0 if self._answers else failures + 1
            if failures == _FAILURES_OF_A_STORE:
                return

    def _try(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except UnreadableError as error:
            self.not_recorded[name] = str(error)
            return
        # Whatever a tracking server does, training goes on; the launch says what is missing.
        except Exception as error:  # noqa: BLE001
            self._answers = False
            self._missed[name] = write
            self.not_recorded[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            return
        self._answers = True
        self._missed.pop(name, None)
        self.not_recorded.pop(name, None)
