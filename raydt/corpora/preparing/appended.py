"""Append-only files with a buffer in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class AppendedFiles:
    """Files of `folder` by name; `sizes` has the length of each on disk, and is kept up to date.

    Raises `OSError` if writing fails.
    """

    def __init__(self, folder: Path, sizes: dict[str, int]) -> None:
        self._folder = folder
        self._sizes = sizes
        self._descriptors: dict[str, int] = {}
        self._held: dict[str, list[NDArray[np.uint8]]] = {}
        self.num_held_bytes = 0

    @property
    def is_on_disk(self) -> bool:
        """Whether anything was written to disk; a small corpus never is."""
        return bool(self._descriptors or self._sizes)

    def append(self, name: str, data: NDArray[np.uint8]) -> None:
        """Append bytes (N,) to a file's buffer."""
        self._held.setdefault(name, []).append(data)
        self.num_held_bytes += len(data)

    def read(self, name: str) -> NDArray[np.uint8]:
        """All bytes (N,) of a file, including buffered ones; empty if nothing was appended."""
        held = self._held.get(name, [])
        if name in self._sizes:
            held = [np.fromfile(self._folder / name, dtype=np.uint8), *held]
        return held[0] if len(held) == 1 else np.concatenate([np.zeros(0, np.uint8), *held])

    def flush(self) -> None:
        """Write the buffers."""
        for name, held in self._held.items():
            if name not in self._descriptors:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._descriptors[name] = os.open(self._folder / name, flags, 0o644)
            for data in held:
                left = memoryview(np.ascontiguousarray(data))  # type: ignore[arg-type]
                while len(left):
                    num_written = os.write(self._descriptors[name], left)
                    self._sizes[name] = self._sizes.get(name, 0) + num_written
                    left = left[num_written:]
        self._held, self.num_held_bytes = {}, 0

    def sync(self) -> None:
        """Write the buffers and sync them to disk."""
        self.flush()
        for descriptor in self._descriptors.values():
            os.fsync(descriptor)

    def close(self) -> None:
        """Close the files and drop the buffers."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}
        self._held = {}
