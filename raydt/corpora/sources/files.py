"""The files of a language as one sequence of documents, and how to know them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from raydt.corpora.sources.documents import Block, Position
from raydt.corpora.sources.formats import file_format
from raydt.corpora.sources.read_parquet import read_parquet
from raydt.corpora.sources.read_text import read_text
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad


def read_files(
    spec: FilesCorpus, paths: Sequence[Path], position: Position | None = None
) -> Iterator[Block]:
    """The documents of files, one after the other; from `position` on where one is given."""
    first = position["file"] if position else 0
    num_bytes_before = sum(path.stat().st_size for path in paths[:first])
    for index, path in enumerate(paths[first:], first):
        start = position["offset"] if position and index == first else 0
        read = read_parquet if file_format(path) == "parquet" else read_text
        for block in read(path, spec, start):
            yield replace(
                block,
                position={"file": index, **block.position},
                num_bytes_read=num_bytes_before + block.num_bytes_read,
            )
        num_bytes_before += path.stat().st_size


def stamp(path: Path) -> tuple[str, int, int]:
    """Path, size and time of the last change: what shows cheaply that a file is another."""
    try:
        status = path.stat()
    except OSError as error:
        raise bad(f"file {path}", "a file that can be read", error.strerror or error) from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns
