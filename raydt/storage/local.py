"""A folder on a disk; durable: what was written is there after a power cut."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raydt.storage.folder import Folder


class LocalFolder(Folder):
    """A folder of this machine, or of a file system that machines share."""

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
        with _Partial(self._path / name) as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def append(self, name: str, data: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        path = self._path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._path))  # noqa: PTH208 - names are what is asked for
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        return (self._path / name).is_file()

    def upload(self, source: Path, name: str) -> None:
        if source == self._path / name:
            return
        with _Partial(self._path / name) as partial:
            shutil.copyfile(source, partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())

    def fetch(self, name: str, target: Path) -> Path:
        path = self._path / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path


class _Partial:
    """A file beside its place, renamed into it at the end; gone if that end is an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.partial")

    def __enter__(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._partial

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._partial.replace(self._path)
        else:
            # A disk that is full must not stay full of halves.
            self._partial.unlink(missing_ok=True)
