"""What kind of text a file holds and how it is compressed, by its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["txt", "jsonl", "parquet"]
_SUFFIX = re.compile(r"(?:\.(txt|jsonl)(\.gz|\.zst)?|\.(parquet))$")
SUFFIXES = ".txt, .jsonl (also .gz, .zst) or .parquet"


def file_format(path: Path) -> Format | None:
    """What kind of text a file holds, by its name; `None` of any other file."""
    match = _SUFFIX.search(path.name)
    if match is None:
        return None
    if match[3]:
        return "parquet"
    return "txt" if match[1] == "txt" else "jsonl"


def compression(path: Path) -> Literal["gzip", "zstd"] | None:
    """How a file is compressed, by its name."""
    if path.suffix == ".gz":
        return "gzip"
    return "zstd" if path.suffix == ".zst" else None


def bare_name(path: Path) -> str:
    """A file's name without the suffixes that say what it holds."""
    return _SUFFIX.sub("", path.name)
