"""A folder on a sweep's storage: on a disk, or under a prefix of an object store.

What the ledger needs of a storage is little: whole files that appear at once, journals that grow,
and a list of what is there. Everything above speaks to `Folder` and does not know which it is.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydt.errors import RunError


class Folder(ABC):
    """A folder and what is in it; names may hold slashes, and folders come into being with their
    first file. Methods raise `FileNotFoundError` for what is not there and `OSError` for a storage
    that does not do as it is told."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """How the folder is named where people and other processes read it."""

    @abstractmethod
    def __truediv__(self, name: str) -> Folder:
        """The folder `name` in this one."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file, whole."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Put a file in place: the old one is there or the new one, never a part of it."""

    @abstractmethod
    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        """Put a file in place as `write` does, but only if what is there is exactly `expected`;
        None: only if nothing is there. Whether `data` is there now by such a call.

        Of several processes at once one succeeds. Contents have to differ from call to call (an id
        in them), so that a call whose answer was lost can be told from one of somebody else. A file
        that is swapped is never written in another way.
        """

    def keeps_conditions(self, name: str) -> bool:
        """Whether `swap` does as it says here, tried on a file that goes again."""
        return True

    @abstractmethod
    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file that has one writer."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, or a folder and all that is in it; what is not there is no error."""

    @abstractmethod
    def names(self) -> list[str]:
        """What is directly in this folder, sorted; nothing if there is no such folder."""

    @abstractmethod
    def upload(self, source: Path, name: str) -> None:
        """Put a file of this machine in place, as `write` does, without reading it whole."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> Path:
        """A file as one of this machine: the file itself where the storage is a disk, else a copy
        at `target`."""

    @property
    def local_path(self) -> Path | None:
        """The folder as a path, if it is on a disk of this machine."""
        return None

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        parent, _, last = name.rpartition("/")
        return last in (self / parent if parent else self).names()

    def read_json(self, name: str) -> Any:
        """A file's JSON; None if there is no such file. `RunError` if it cannot be read as JSON:
        files are written whole, so somebody or something has changed it."""
        try:
            data = self.read(name)
        except FileNotFoundError:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"{self.uri}/{name}: expected whole JSON, found damage ({error}); "
                "remove the file or restore it"
            ) from None

    def write_json(self, name: str, value: Any) -> None:
        """Put a JSON file in place."""
        self.write(name, json.dumps(value, indent=1).encode())


def walk(folder: Folder, prefix: str = "") -> Iterator[str]:
    """The names of all files under a folder, relative to it."""
    for name in folder.names():
        inner = folder / name
        if inner.names():
            yield from walk(inner, f"{prefix}{name}/")
        else:
            yield prefix + name
