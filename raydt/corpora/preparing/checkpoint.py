"""Checkpoints of the first pass, beside the files to which it appends.

A checkpoint has the length of each file at some document, and the position of the source there.
After a kill, the files are truncated to these lengths, so nothing is missing or duplicated.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from raydt.corpora.sources.documents import Position
from raydt.corpora.splits import SPLITS

_FILE_NAME = "checkpoint.json"


@dataclass
class Progress:
    """The progress of the first pass, which is written as JSON for a checkpoint."""

    num_buckets: int
    num_documents: int = 0  # assigned indices, including blank documents
    num_text_bytes: int = 0  # of documents that are not blank, without separators, with gaps
    split_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # of the files
    position: Position | None = None
    num_bytes_read: int = 0
    is_done: bool = False
    has_ended: bool = False  # the source has no more


def write_checkpoint(progress: Progress, folder: Path) -> None:
    """Write a checkpoint durably; the files of `folder` must be synced before."""
    temporary = folder / f"{_FILE_NAME}.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(vars(progress), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _FILE_NAME)


def take_up(folder: Path) -> Progress | None:
    """Resume an interrupted pass in `folder`: truncate its files to the checkpoint. Without a
    usable checkpoint, empty the folder and return None."""
    progress: Progress | None = None
    try:
        progress = Progress(**json.loads((folder / _FILE_NAME).read_text("utf-8")))
        sizes = progress.sizes
        # Shorter than in the checkpoint: a power cut lost data on disk.
        if any((folder / name).stat().st_size < sizes[name] for name in sizes):
            progress = None
    except (FileNotFoundError, ValueError, TypeError):
        progress = None
    for path in folder.iterdir():
        if progress is not None and path.name in progress.sizes:
            os.truncate(path, progress.sizes[path.name])
        elif progress is None or path.name != _FILE_NAME:
            path.unlink()
    return progress
