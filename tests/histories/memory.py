"""A storage in memory, with what an object store promises and no more.

A write is whole; a list is made page by page, and what is written in between is in it or not; a
conditional write whose answer was lost may be sent again by the client.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raydt.storage.folder import Folder
from tests.histories.world import ViolationError, World

Watch = Callable[[str, bytes | None, bytes | None], None]


class Memory:
    """All files, by their whole names; `watch` sees what each was and will be, before it is so."""

    def __init__(self, world: World, watch: Watch) -> None:
        self.world = world
        self.files: dict[str, bytes] = {}
        self.in_flight: set[str] = set()  # whose last write was cut off, on a disk
        self._watch = watch

    def put(self, key: str, data: bytes | None) -> None:
        """Write or, None, remove."""
        try:
            self._watch(key, self.files.get(key), data)
        except ViolationError as error:
            self.world.error = error  # whatever the code under test makes of it
            raise
        if data is None:
            self.files.pop(key, None)
        else:
            self.files[key] = data


class MemoryFolder(Folder):
    """A folder there."""

    def __init__(self, memory: Memory, path: str) -> None:
        self._memory = memory
        self._path = path

    @property
    def uri(self) -> str:
        return f"s3://{self._path}"

    def __truediv__(self, name: str) -> MemoryFolder:
        return MemoryFolder(self._memory, f"{self._path}/{name}")

    def read(self, name: str) -> bytes:
        key = f"{self._path}/{name}"
        data = self._memory.world.do(f"read {short(key)}", lambda: self._memory.files.get(key))
        if data is None:
            raise FileNotFoundError(key)
        return data

    def write(self, name: str, data: bytes) -> None:
        key = f"{self._path}/{name}"
        self._memory.world.do(f"write {short(key)}", lambda: self._memory.put(key, data))

    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        key = f"{self._path}/{name}"
        world, files = self._memory.world, self._memory.files

        def put_if() -> bool:
            if files.get(key) != expected:
                return False
            self._memory.put(key, data)
            return True

        if expected is not None:
            found = world.do(f"read {short(key)}", lambda: files.get(key))
            if found != expected:
                return found == data
        try:
            is_put = world.do(f"swap {short(key)}", put_if)
        except OSError:
            if world.random.random() < 0.5:
                raise
            is_put = world.do(f"swap {short(key)} again", put_if)
        return is_put or world.do(f"read {short(key)}", lambda: files.get(key)) == data

    def append(self, name: str, data: bytes) -> None:
        key = f"{self._path}/{name}"
        world, files = self._memory.world, self._memory.files
        before = world.do(f"read {short(key)}", lambda: files.get(key, b""))
        world.do(f"write {short(key)}", lambda: self._memory.put(key, before + data))

    def remove(self, name: str) -> None:
        key = f"{self._path}/{name}"
        files = self._memory.files
        for each in sorted(each for each in files if each == key or each.startswith(f"{key}/")):
            self._memory.world.do(
                f"remove {short(each)}", lambda each=each: self._memory.put(each, None)
            )

    def names(self) -> list[str]:
        start = f"{self._path}/"
        world, files = self._memory.world, self._memory.files

        def page() -> set[str]:
            return {key[len(start) :].partition("/")[0] for key in files if key.startswith(start)}

        found = world.do(f"list {short(self._path)}", page)
        if world.random.random() < 0.1 and len(found) > 1:
            middle = sorted(found)[len(found) // 2]
            rest = world.do(f"list {short(self._path)}, page 2", page)
            found = {n for n in found if n < middle} | {n for n in rest if n >= middle}
        return sorted(found)

    def exists(self, name: str) -> bool:
        key = f"{self._path}/{name}"
        files = self._memory.files
        return self._memory.world.do(f"look for {short(key)}", lambda: key in files)

    def upload(self, source: Path, name: str) -> None:
        self.write(name, source.read_bytes())

    def fetch(self, name: str, target: Path) -> Path:
        data = self.read(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target


def short(key: str) -> str:
    return key.partition("/cells/")[2] or key.rpartition("/")[2]
