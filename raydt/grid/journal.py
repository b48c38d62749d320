"""What a cell writes beside its weights, before anything reaches MLflow.

A cell's folder holds one journal per attempt (a JSON object a line: start, reports, end) and,
once the cell is decided, `result.json`, which is renamed into place last: that makes it done.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

RESULT = "result.json"
WEIGHTS = "weights.safetensors"
_ATTEMPTS = "attempts"


def write_atomically(path: Path, value: Any) -> None:
    """`value` as JSON at `path`: the old file or the new one, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class Journal:
    """The journal of one attempt at a cell."""

    def __init__(self, folder: Path, attempt: str) -> None:
        self.folder = folder
        self.attempt = attempt
        self._path = journal_path(folder, attempt)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **fields: Any) -> dict[str, Any]:
        """Append one event with the time, in seconds since 1970; the row as written."""
        row = {"event": event, "time": time.time(), **fields}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return row


def journal_path(folder: Path, attempt: str) -> Path:
    """Where an attempt at the cell of `folder` keeps its journal."""
    return folder / _ATTEMPTS / f"{attempt}.jsonl"


def read_journal(folder: Path, attempt: str) -> list[dict[str, Any]]:
    """The events of an attempt; a last line that a kill cut short is left out."""
    path = journal_path(folder, attempt)
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]
