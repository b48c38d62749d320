"""Move a prepared language into place atomically: its folder is complete or missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raydt.corpora.prepared.language import split_path
from raydt.corpora.prepared.manifest import FILE_NAME, Manifest, write_manifest
from raydt.corpora.prepared.stamps import write_stamps
from raydt.corpora.splits import SPLITS

WORK = ".work"  # beside the corpora, whose own folders contain only complete languages


def put_in_place(manifest: Manifest, new: Path, folder: Path, work: Path) -> None:
    """Seal the folder `new` in `work` with its manifest, move it to `folder`, and remove `work`."""
    _seal(manifest, new)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(work / "old", ignore_errors=True)
        # Moved away in one step; processes with open files keep them.
        folder.rename(work / "old")
    new.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(work)


def _seal(manifest: Manifest, folder: Path) -> None:
    """Write the manifest last, and sync everything to disk."""
    write_stamps([split_path(folder, split) for split in SPLITS], folder)
    path = folder / FILE_NAME
    write_manifest(manifest, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, if the file system supports this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
