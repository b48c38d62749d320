"""A folder on a disk. Writes are durable: they survive a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from raydt.locks import NO_LOCKS, locked
from raydt.storage.folder import Folder

# Errors of file systems without hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalFolder(Folder):
    """A folder on this machine, or on a shared file system."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def uri(self) -> str:
        return str(self._path)

    @property
    def local_path(self) -> Path | None:
        return self._path

    def __truediv__(self, name: str) -> LocalFolder:
        return LocalFolder(self._path / name)

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self._path / name
        with _Partial(path) as partial:
            _write(partial, data)
            partial.replace(path)

    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        path = self._path / name
        if expected is None:
            return _create(path, data)
        while True:
            try:
                with ExitStack() as waits:
                    file = waits.enter_context(path.open("rb+"))
                    # Other swaps wait here; the file may have been replaced meanwhile.
                    waits.enter_context(_swapping(path, file))
                    if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                        continue
                    found = file.read()
                    if found != expected:
                        return found == data
                    self.write(name, data)
                    return True
            except FileNotFoundError:
                return False

    def append(self, name: str, data: bytes) -> None:
        path = self._path / name
        _make_folder(path.parent)
        is_new = not path.exists()
        with path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                # A full disk takes only a part, which would damage what is appended later.
                os.ftruncate(file.fileno(), before)
                raise
        if is_new:
            sync_folder(path.parent)

    def remove(self, name: str) -> None:
        path = self._path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._path))  # noqa: PTH208 - only names are needed
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        return (self._path / name).is_file()

    def upload(self, source: Path, name: str) -> None:
        path = self._path / name
        if source == path:
            return
        with _Partial(path) as partial:
            shutil.copyfile(source, partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)

    def fetch(self, name: str, target: Path) -> Path:
        path = self._path / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path


@contextmanager
def _swapping(path: Path, file: IO[bytes]) -> Iterator[None]:
    """Lock an open file against other swaps; without file locks, by a lock file beside it."""
    with ExitStack() as stack:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            stack.enter_context(locked(path.with_name(f".{path.name}.lock")))
        yield


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _create(path: Path, data: bytes) -> bool:
    with _Partial(path) as partial:
        _write(partial, data)
        try:
            os.link(partial, path)
        except FileExistsError:
            return path.read_bytes() == data
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with locked(path.with_name(f".{path.name}.lock")):
                if path.exists():
                    return path.read_bytes() == data
                partial.replace(path)
    return True


class _Partial:
    """A temporary file beside the final one, to be renamed or linked. It is removed in any case, so
    that partial files do not fill a disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")

    def __enter__(self) -> Path:
        _make_folder(self._path.parent)
        return self._partial

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._partial.unlink(missing_ok=True)
        if kind is None:
            sync_folder(self._path.parent)
