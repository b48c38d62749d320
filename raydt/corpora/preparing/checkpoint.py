"""How far the first pass is, beside the files that it appends to, so that a kill costs little.

A checkpoint says how long each file was at some document, and where the source goes on from there:
after a kill they are cut to these lengths, and nothing is missing or there twice.
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
    """How far the first pass is; as JSON the checkpoint."""

    num_buckets: int
    num_documents: int = 0  # indices given out, blank documents counted
    num_text_bytes: int = 0  # of documents that are not blank, without separators, gaps counted
    split_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # of the files
    position: Position | None = None
    num_bytes_read: int = 0
    is_done: bool = False
    has_ended: bool = False  # nothing follows in the source


def write_checkpoint(progress: Progress, folder: Path) -> None:
    """Make it outlast a kill; the files of `folder` are to be on disk before."""
    temporary = folder / f"{_FILE_NAME}.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(vars(progress), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _FILE_NAME)


def take_up(folder: Path) -> Progress | None:
    """What an interrupted pass left in `folder`, its files cut to the checkpoint; without one that
    can be used the folder is emptied."""
    progress: Progress | None = None
    try:
        progress = Progress(**json.loads((folder / _FILE_NAME).read_text("utf-8")))
        sizes = progress.sizes
        # Shorter than the checkpoint says: the power was cut, and the disk lost what it had.
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
