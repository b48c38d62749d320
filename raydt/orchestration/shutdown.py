"""SIGUSR2, the word of a batch system that the time is almost up: the cells that run write a
checkpoint, and the launch ends as by Ctrl-C. (Of SIGUSR1 Tune makes an end of its own, at once.)"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.cell import Cell
from raydt.grid.journal import CHECKPOINTS, attempt_folder, holder, outcome_of
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.shutdown import clear_request, request_checkpoints
from raydt.storage.folder import Folder

# Several gigabytes onto a slow disk, or a cell that is at its test. docs/places/slurm.md and the
# batch file count on it being less than what is left.
MOST_SECONDS = 180.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class _Running:
    """A cell that runs, as it was when the launch was told to leave."""

    folder: Folder
    attempt: str
    checkpoints: frozenset[str]

    @classmethod
    def of(cls, folder: Folder) -> _Running | None:
        lease = holder(folder)
        if lease is None:
            return None
        return cls(folder, lease.attempt, _checkpoints(folder, lease.attempt))

    def is_kept(self) -> bool:
        """Whether it has a checkpoint that is newer, or needs none any more."""
        lease = holder(self.folder)
        if lease is None or lease.attempt != self.attempt or outcome_of(self.folder) is not None:
            return True
        return not _checkpoints(self.folder, self.attempt) <= self.checkpoints


@contextmanager
def checkpoint_on_signal(
    sweep: Sweep, cells: Mapping[str, Cell], launch_id: str, say: Callable[[str], None]
) -> Iterator[None]:
    """For the time of the block SIGUSR2 ends the launch with a checkpoint of every cell that
    runs."""
    told = threading.Event()

    def leave() -> None:
        try:
            _keep_all(sweep, cells.values(), launch_id, say)
        except (OSError, RunError) as error:
            say(f"Not every cell has a new checkpoint: {error}")
        os.kill(os.getpid(), signal.SIGINT)

    def hear(number: int, frame: FrameType | None) -> None:
        if not told.is_set():
            told.set()
            threading.Thread(target=leave, name="leaving", daemon=True).start()

    before = signal.signal(signal.SIGUSR2, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)
        if told.is_set():
            clear_request(sweep.folder)


def _keep_all(
    sweep: Sweep, cells: Iterable[Cell], launch_id: str, say: Callable[[str], None]
) -> None:
    found = Ledger.read(sweep, cells).running
    running = [_Running.of(cell_folder(sweep, cell_id)) for cell_id in sorted(found)]
    waiting = [cell for cell in running if cell is not None]
    say(f"Told to leave: a checkpoint of each running cell first ({len(waiting)})")
    request_checkpoints(sweep.folder, launch_id)
    until = time.monotonic() + MOST_SECONDS
    while waiting and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        waiting = [cell for cell in waiting if not cell.is_kept()]
    if waiting:
        say(f"{len(waiting)} cells wrote none within {MOST_SECONDS:.0f} s and lose more")


def _checkpoints(cell: Folder, attempt: str) -> frozenset[str]:
    names = (attempt_folder(cell, attempt) / CHECKPOINTS).names()
    return frozenset(name for name in names if name.endswith(".json"))
