"""A disk whose power can go: what was not synced is there afterwards, or not, or in part.

The real `LocalFolder` writes real files, and tells by `os.fsync` what is to outlast a power cut: a
file by its contents, a folder by its names. A cut keeps that, and of all else what it likes. As on
file systems with a journal (ext4, XFS, Btrfs), what is synced has the folders it is in: without,
who is killed between making a folder and syncing its name would leave one that nobody syncs.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from raydt.storage.folder import Folder
from raydt.storage.local import LocalFolder
from tests.histories.memory import Memory, short
from tests.histories.world import Killed

FoundT = TypeVar("FoundT")


class Disk:
    """Files under `root`, and what of them was synced, by inode."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.num_cuts = 0
        self.at_sync: Callable[[], None] = lambda: None
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}

    def sync(self, descriptor: int) -> None:
        """In the place of `os.fsync`."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - no path of a disk
        if path != self.root and self.root not in path.parents:
            return  # what a machine keeps to itself
        self.at_sync()
        inode = os.fstat(descriptor).st_ino
        if path.is_dir():
            self._names[inode] = _names(path)
        else:
            self._contents[inode] = path.read_bytes()
            path = path.parent
        while path != self.root:
            above = self._names.setdefault(path.parent.stat().st_ino, {})
            above[path.name] = path.stat().st_ino
            path = path.parent

    def cut(self, drawn: random.Random) -> None:
        """The power goes, and comes back: the files are others, under another root."""
        self.num_cuts += 1
        old, new = self.root, self.root.with_name(f"{self.root.name}+")
        there = {path.stat().st_ino: path for path in (old, *old.rglob("*"))}
        contents, names = self._contents, self._names
        self.root, self._contents, self._names = new, {}, {}

        def put_back(inode: int, to: Path) -> int:
            found = there.get(inode)
            if inode in names or (found is not None and found.is_dir()):
                to.mkdir()
                synced = names.get(inode, {})
                seen = {} if found is None else _names(found)
                kept = {}
                for name in sorted({*synced, *seen}):
                    one = drawn.choice((synced.get(name), seen.get(name)))
                    if one is not None:
                        kept[name] = put_back(one, to / name)
                self._names[to.stat().st_ino] = kept
            else:
                data = _after_cut(contents.get(inode), found, drawn)
                to.write_bytes(data)
                self._contents[to.stat().st_ino] = data
            return to.stat().st_ino

        put_back(old.stat().st_ino, new)
        shutil.rmtree(old)


def _names(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as found:
        return {each.name: each.inode() for each in found}


def _after_cut(synced: bytes | None, path: Path | None, drawn: random.Random) -> bytes:
    seen = synced if path is None else path.read_bytes()
    if seen is None or seen == synced:
        return seen or b""
    if synced is not None and not seen.startswith(synced):
        return drawn.choice((synced, seen))
    start = len(synced or b"")  # what was added is there up to somewhere
    return seen[: drawn.choice((start, drawn.randint(start, len(seen)), len(seen)))]


class DiskFolder(Folder):
    """A folder there. `memory` has its files as they are seen, for those who watch."""

    def __init__(self, memory: Memory, disk: Disk, path: str) -> None:
        self._memory = memory
        self._disk = disk
        self._path = path

    @property
    def uri(self) -> str:
        return f"s3://{self._path}"

    def __truediv__(self, name: str) -> DiskFolder:
        return DiskFolder(self._memory, self._disk, f"{self._path}/{name}")

    def read(self, name: str) -> bytes:
        return self._look(f"read {self._short(name)}", lambda real: real.read(name))

    def write(self, name: str, data: bytes) -> None:
        self._change("write", name, lambda real: real.write(name, data))

    def swap(self, name: str, expected: bytes | None, data: bytes) -> bool:
        return self._change("swap", name, lambda real: real.swap(name, expected, data))

    def append(self, name: str, data: bytes) -> None:
        self._change("append", name, lambda real: real.append(name, data))

    def remove(self, name: str) -> None:
        key = f"{self._path}/{name}"
        for each in sorted(f for f in self._memory.files if f == key or f.startswith(f"{key}/")):
            inner = each[len(self._path) + 1 :]
            self._change("remove", inner, lambda real, inner=inner: real.remove(inner))
        self._look(f"remove {self._short(name)}", lambda real: real.remove(name))

    def names(self) -> list[str]:
        return self._look(f"list {short(self._path)}", lambda real: real.names())

    def exists(self, name: str) -> bool:
        return self._look(f"look for {self._short(name)}", lambda real: real.exists(name))

    def upload(self, source: Path, name: str) -> None:
        self._change("upload", name, lambda real: real.upload(source, name))

    def fetch(self, name: str, target: Path) -> Path:
        data = self.read(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def _short(self, name: str) -> str:
        return short(f"{self._path}/{name}")

    def _look(self, what: str, look: Callable[[LocalFolder], FoundT]) -> FoundT:
        return self._memory.world.do(what, lambda: look(self._real()))

    def _change(self, how: str, name: str, change: Callable[[LocalFolder], FoundT]) -> FoundT:
        key = f"{self._path}/{name}"

        def do() -> FoundT:
            self._memory.in_flight.add(key)
            try:
                found = change(self._real())
            except Killed:
                # Killed in the middle; after a power cut all of the disk was looked at.
                if key in self._memory.in_flight:
                    self._see(key)
                raise
            self._memory.in_flight.discard(key)
            self._see(key)
            return found

        return self._memory.world.do(f"{how} {self._short(name)}", do)

    def _see(self, key: str) -> None:
        path = self._disk.root / key
        self._memory.put(key, path.read_bytes() if path.is_file() else None)

    def _real(self) -> LocalFolder:
        return LocalFolder(self._disk.root / self._path)
