"""A folder on a sweep's storage: on a disk, or under a prefix of an object store.

The ledger needs little of a storage: files that appear whole, journals that grow, and listings. All
other code uses `Folder` and does not know which storage it is.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydt.errors import RunError


class Folder(ABC):
    """A folder and its files. Names may contain slashes; folders are created with their first file.
    Methods raise `FileNotFoundError` for a missing file and `OSError` if the storage fails."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """The name of the folder for people and other processes."""

    @abstractmethod
    def __truediv__(self, name: str) -> Folder:
        """The subfolder `name`."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The contents of a file."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically: either the old or the new contents are there."""

    @abstractmethod
    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        """Write a file as `write` does, but only if its contents are exactly `expected` (None: only
        if it does not exist). Returns whether this succeeded.

        Of several processes at the same time one succeeds. Contents must differ between calls (they
        contain an id), so that a call whose answer was lost can be told from another process's. A
        file that is swapped is never written in another way.
        """

    def supports_swap(self, name: str) -> bool:
        """Whether `swap` really is conditional here, tried on a file that is removed afterwards."""
        return True

    @abstractmethod
    def append(self, name: str, data: bytes) -> None:
        """Append to a file with a single writer."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, or a folder with its contents; no error if it does not exist."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names directly in this folder, sorted; empty if it does not exist."""

    @abstractmethod
    def upload(self, source: Path, name: str) -> None:
        """Copy a local file here, as `write` does, without reading it into memory."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> Path:
        """A local path of a file: the file itself if the storage is a disk, else a copy at
        `target`.
        """

    @property
    def local_path(self) -> Path | None:
        """The path of the folder, if it is on a disk of this machine."""
        return None

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        parent, _, last = name.rpartition("/")
        return last in (self / parent if parent else self).names()

    def read_json(self, name: str) -> Any:
        """A file's JSON; None if it does not exist. `RunError` if it is not JSON: files are written
        atomically, so it was changed later."""
        try:
            data = self.read(name)
        except FileNotFoundError:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"{self.uri}/{name}: expected JSON, got a damaged file ({error}); restore or "
                "remove it"
            ) from None

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write(name, json.dumps(value, indent=1).encode())


def walk(folder: Folder, prefix: str = "") -> Iterator[str]:
    """The names of all files under a folder, relative to it."""
    for name in folder.names():
        inner = folder / name
        if inner.names():
            yield from walk(inner, f"{prefix}{name}/")
        else:
            yield prefix + name
