"""A folder of a launch's own beside the sweeps, for what Ray and Tune write and nobody reads again.

A launch that is killed leaves its folder; the next one removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from filelock import FileLock, Timeout

_PREFIX = "raydt-"
_LOCK = ".raydt-launch.lock"  # held as long as the folder is in use


@contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder in TMPDIR for the time of the block; those of launches that were killed go."""
    _sweep(Path(gettempdir()))
    folder = Path(mkdtemp(prefix=_PREFIX))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        # Processes of Ray may end a moment later, and write until then.
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        try:
            if not folder.is_dir() or folder.lstat().st_uid != os.getuid():
                continue
            if not (folder / _LOCK).exists():
                continue  # not ours, or about to be made
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # in use, or somebody else has just removed it
