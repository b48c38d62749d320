"""A prepared language on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.prepared.manifest import Manifest, read_manifest
from raydt.corpora.prepared.stamps import is_unchanged
from raydt.corpora.splits import OPTIONS, SPLITS, Split
from raydt.errors import Problem, bad


@dataclass(frozen=True)
class PreparedLanguage:
    """One flat file of bytes per split, and their manifest."""

    name: str
    folder: Path
    manifest: Manifest

    def train(self, num_bytes: int) -> NDArray[np.uint8]:
        """The first `num_bytes` of the shuffled training stream, read-only; see `prefix`."""
        return self.prefix("train", num_bytes)

    def val(self, num_bytes: int) -> NDArray[np.uint8]:
        """The first `num_bytes` of the split that chooses checkpoints; see `prefix`."""
        return self.prefix("val", num_bytes)

    def test(self, num_bytes: int) -> NDArray[np.uint8]:
        """The first `num_bytes` of the split that is reported; see `prefix`."""
        return self.prefix("test", num_bytes)

    def prefix(self, split: Split, num_bytes: int) -> NDArray[np.uint8]:
        """The first bytes of a split, memory-mapped; shape (num_bytes,), read-only.

        `InputError` if there are fewer, or if the file does not match its manifest.
        """
        assert num_bytes >= 0
        shortages = self.shortages({split: num_bytes})
        if shortages:
            raise bad(shortages[0].what, shortages[0].expected, shortages[0].got)
        path = split_path(self.folder, split)
        damage = self._damage(split)
        if damage is not None:
            raise bad(str(path), "the file in its manifest (prepare the language again)", damage)
        if num_bytes == 0:  # an empty range cannot be mapped
            empty = np.empty(0, dtype=np.uint8)
            empty.flags.writeable = False
            return empty
        return np.memmap(path, dtype=np.uint8, mode="r", shape=(num_bytes,))

    def digest(self, train_bytes: int, val_bytes: int, test_bytes: int) -> str:
        """SHA-256 (hex) of these prefixes, independent of their location and what follows."""
        return digest_of(self.train(train_bytes), self.val(val_bytes), self.test(test_bytes))

    def is_whole(self) -> bool:
        """Whether every file matches the manifest."""
        return all(self._damage(split) is None for split in self.manifest.splits)

    def shortages(self, asked: dict[Split, int]) -> list[Problem]:
        """A problem for every split with fewer bytes than asked for."""
        problems = []
        for split, num_bytes in asked.items():
            stored = self.manifest.splits[split].num_bytes
            if stored < num_bytes:
                problems.append(
                    Problem(
                        f"{split} of {self.name}",
                        f"{num_bytes} bytes, that is, {OPTIONS[split]} no larger than the "
                        f"corpus ({self.manifest.source.corpus})",
                        f"{stored} bytes",
                    )
                )
        return problems

    def _damage(self, split: Split) -> str | None:
        """What is wrong with the file of a split; it is only read if it has changed."""
        path = split_path(self.folder, split)
        stored = self.manifest.splits[split]
        try:
            size = path.stat().st_size
            if size == stored.num_bytes:
                if is_unchanged(path, stored.sha256):
                    return None
                found = f"bytes whose SHA-256 is not {stored.sha256[:12]}…"
            else:
                found = f"{size} bytes instead of {stored.num_bytes}"
        except OSError as error:
            return error.strerror or str(error)
        # The language may have become longer meanwhile; it still begins with our bytes.
        fresh = read_manifest(self.folder)
        grown = fresh.splits[split].num_bytes == size > stored.num_bytes
        if grown and fresh.source.same_text(self.manifest.source):
            return None
        return found


def digest_of(
    train: NDArray[np.uint8], val: NDArray[np.uint8], test: NDArray[np.uint8] | None
) -> str:
    """SHA-256 (hex) of the data that a cell reads; no `test` counts as an empty one."""
    digest = hashlib.sha256()
    for split, data in zip(SPLITS, (train, val, test), strict=True):
        # With the lengths, moving a byte from one split to the next changes the digest.
        digest.update(f"{split} {0 if data is None else len(data)}\n".encode())
        if data is not None:
            digest.update(data.data)
    return digest.hexdigest()


def split_path(folder: Path, split: Split) -> Path:
    """The path of the bytes of a split."""
    return folder / f"{split}.bin"


def open_language(folder: Path) -> PreparedLanguage:
    """Open the prepared language in a folder; `InputError` if there is none."""
    manifest = read_manifest(folder)
    return PreparedLanguage(name=manifest.language, folder=folder, manifest=manifest)
