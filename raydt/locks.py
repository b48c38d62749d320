"""Locks of files, also on file systems that have none."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

# What a file system says that has no locks of the operating system.
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock of a path for the time of the block; raises `filelock.Timeout` where another
    holds it for `timeout` seconds (-1: wait).

    Where the operating system has no locks there, a file that is made by one process alone stands
    for it; that of a process which died on this machine is taken over.
    """
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.soft"))
        lock.acquire(timeout=timeout)
    try:
        yield
    finally:
        lock.release()
