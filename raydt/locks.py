"""File locks that also work on file systems without locking."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

# Errors of file systems that do not support the operating system's locks.
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock of a path inside the `with` block. Raises `filelock.Timeout` if another process
    holds it for `timeout` seconds (-1: wait forever).

    On a file system without locks, a lock file is created exclusively instead. One left by a dead
    process of this machine is taken over.
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
