"""A prepared language where it is found: its folder is whole, or is not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raydt.corpora.prepared.language import split_path
from raydt.corpora.prepared.manifest import FILE_NAME, Manifest, write_manifest
from raydt.corpora.prepared.stamps import write_stamps
from raydt.corpora.splits import SPLITS

WORK = ".work"  # beside the corpora; a corpus's own folder has nothing but whole languages


def put_in_place(manifest: Manifest, new: Path, folder: Path, work: Path) -> None:
    """Seal what was written into `new`, a folder in `work`, and put it at `folder`; `work` goes."""
    _seal(manifest, new)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(work / "old", ignore_errors=True)
        # Out of the way in one step; whoever has its files open keeps them.
        folder.rename(work / "old")
    new.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(work)


def _seal(manifest: Manifest, folder: Path) -> None:
    """The manifest, last, and all of it on disk before this returns."""
    write_stamps([split_path(folder, split) for split in SPLITS], folder)
    path = folder / FILE_NAME
    write_manifest(manifest, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
