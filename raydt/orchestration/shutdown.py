"""SIGUSR2, with which a batch system warns that time is almost up: running cells write a
checkpoint, and the launch ends as with Ctrl-C. (SIGUSR1 is taken: Tune stops at once.)"""

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

# Enough for several gigabytes on a slow disk, or for a cell that is evaluating its test split.
# docs/places/slurm.md and the batch file rely on it being shorter than the warning time.
MAX_SECONDS = 180.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class _Running:
    """A running cell, in its state when the signal arrived."""

    folder: Folder
    attempt: str
    checkpoints: frozenset[str]

    @classmethod
    def of(cls, folder: Folder) -> _Running | None:
        lease = holder(folder)
        if lease is None:
            return None
        return cls(folder, lease.attempt, _checkpoints(folder, lease.attempt))

    def is_safe(self) -> bool:
        """Whether it has a newer checkpoint, or no longer needs one."""
        lease = holder(self.folder)
        if lease is None or lease.attempt != self.attempt or outcome_of(self.folder) is not None:
            return True
        return not _checkpoints(self.folder, self.attempt) <= self.checkpoints


@contextmanager
def checkpoint_on_signal(
    sweep: Sweep, cells: Mapping[str, Cell], launch_id: str, report: Callable[[str], None]
) -> Iterator[None]:
    """Inside the `with` block, SIGUSR2 ends the launch after a checkpoint of every running cell."""
    signalled = threading.Event()

    def shut_down() -> None:
        try:
            _checkpoint_all(sweep, cells.values(), launch_id, report)
        except (OSError, RunError) as error:
            report(f"Some cells have no new checkpoint: {error}")
        os.kill(os.getpid(), signal.SIGINT)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not signalled.is_set():
            signalled.set()
            threading.Thread(target=shut_down, name="shutdown", daemon=True).start()

    before = signal.signal(signal.SIGUSR2, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)
        if signalled.is_set():
            clear_request(sweep.folder)


def _checkpoint_all(
    sweep: Sweep, cells: Iterable[Cell], launch_id: str, report: Callable[[str], None]
) -> None:
    found = Ledger.read(sweep, cells).running
    running = [_Running.of(cell_folder(sweep, cell_id)) for cell_id in sorted(found)]
    waiting = [cell for cell in running if cell is not None]
    report(f"Received SIGUSR2: waiting for a checkpoint of each running cell ({len(waiting)})")
    request_checkpoints(sweep.folder, launch_id)
    until = time.monotonic() + MAX_SECONDS
    while waiting and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        waiting = [cell for cell in waiting if not cell.is_safe()]
    if waiting:
        report(
            f"{len(waiting)} cells wrote no checkpoint within {MAX_SECONDS:.0f} s and resume from "
            "an older one"
        )


def _checkpoints(cell: Folder, attempt: str) -> frozenset[str]:
    names = (attempt_folder(cell, attempt) / CHECKPOINTS).names()
    return frozenset(name for name in names if name.endswith(".json"))
