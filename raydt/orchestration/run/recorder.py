"""Write to MLflow during training: a thread of the driver, the only writer of the store.

Everything it writes is already on the storage, so it may fall behind or fail without harm: the next
launch writes what is missing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

# How often an unreachable store is tried again, as long as the launch lasts.
_SECONDS_BETWEEN_TRIES = 5.0
# A single write may fail by itself; this many in a row mean that the store is unreachable.
_FAILURES_OF_A_STORE = 3


class UnreadableError(Exception):
    """The data to be written cannot be read; not an error of the store."""


class Recorder(threading.Thread):
    """A queue of named writes to the store: a cell, a trial, a file.

    Writes may be repeated, so they must be idempotent. Of several writes with one name, only the
    newest is kept.
    """

    def __init__(self) -> None:
        super().__init__(name="mlflow", daemon=True)
        self._queue: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue()
        self._answers = True  # whether the store answered the last time
        self._missed: dict[str, Callable[[], None]] = {}
        self.not_recorded: dict[str, str] = {}  # name -> why

    def put(self, name: str, write: Callable[[], None]) -> None:
        """Queue a write."""
        self._queue.put((name, write))

    def finish(self, name: str, write: Callable[[], None]) -> None:
        """Write what is queued and what a store missed while unreachable, then this, and stop."""
        self._queue.put(None)
        self.join()
        self._answers = True  # it may be back: the first write shows it
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
                # Do not wait for an unreachable store at every write.
                self._missed[name] = write
                self.not_recorded.setdefault(name, "the store does not answer")

    def _write_missed(self) -> None:
        failures = 0
        for name, write in list(self._missed.items()):
            del self._missed[name]  # it goes to the end if it fails, so as not to block others
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
        # Training continues whatever a tracking server does; the launch shows what is missing.
        except Exception as error:  # noqa: BLE001
            self._answers = False
            self._missed[name] = write
            self.not_recorded[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            return
        self._answers = True
        self._missed.pop(name, None)
        self.not_recorded.pop(name, None)
