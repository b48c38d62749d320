"""A temporary folder of a launch, for files of Ray and Tune that nobody reads again.

A launch that is killed leaves its folder behind; the next one removes it.
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
def launch_folder() -> Iterator[Path]:
    """A new folder in TMPDIR inside the `with` block. Removes those of killed launches."""
    _sweep(Path(gettempdir()))
    folder = Path(mkdtemp(prefix=_PREFIX))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        # Ray's processes may still write for a moment.
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        try:
            if not folder.is_dir() or folder.lstat().st_uid != os.getuid():
                continue
            if not (folder / _LOCK).exists():
                continue  # not ours, or being created
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # in use, or just removed by another launch
