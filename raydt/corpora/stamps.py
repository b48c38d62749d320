"""Whether a stored split is still what its manifest says, without reading it each time.

Beside the manifest stands when each split was last known to be right: its size and the time of
its last change. Only a file whose time is another is read and hashed, once.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

from raydt.corpora.files import hash_file

FILE_NAME = "verified.json"


def write_stamps(paths: list[Path], folder: Path) -> None:
    """Record that these files are right as they are now."""
    stamps = {path.name: _stamp(path) for path in paths}
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(stamps, indent=2) + "\n", "utf-8")
    temporary.replace(folder / FILE_NAME)


def is_unchanged(path: Path, sha256: str) -> bool:
    """Whether a file has this hash; raises `OSError` if it cannot be read."""
    stamp = _stamp(path)
    folder = path.parent
    stamps = _read(folder)
    if stamps.get(path.name) == stamp:
        return True
    if _hash(str(path), *stamp) != sha256:
        return False
    stamps[path.name] = stamp
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(stamps, indent=2) + "\n", "utf-8")
        temporary.replace(folder / FILE_NAME)
    except OSError:
        return True  # a folder nobody may write to: this process remembers, others hash again
    return True


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read(folder: Path) -> dict[str, list[int]]:
    try:
        stamps = json.loads((folder / FILE_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # never verified here, as after a copy without it: hash
    return stamps if isinstance(stamps, dict) else {}


@lru_cache(maxsize=1024)
def _hash(path: str, size: int, modified_ns: int) -> str:
    """Of the file as it is with this size and time."""
    return hash_file(Path(path))
