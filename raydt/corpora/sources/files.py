"""The files of a language as one sequence of documents, and stamps that identify files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from raydt.corpora.options import Format
from raydt.corpora.sources.documents import Block, NoTextError, Position
from raydt.corpora.sources.formats import file_format
from raydt.corpora.sources.read_parquet import read_parquet
from raydt.corpora.sources.read_table import read_table
from raydt.corpora.sources.read_text import read_text
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad


def read_files(
    spec: FilesCorpus, paths: Sequence[Path], position: Position | None = None
) -> Iterator[Block]:
    """The documents of files, one after the other, from `position` on if given."""
    first = position["file"] if position else 0
    num_bytes_before = sum(path.stat().st_size for path in paths[:first])
    for index, path in enumerate(paths[first:], first):
        start = position["offset"] if position and index == first else 0
        for block in read_file(spec, path, start):
            yield replace(
                block,
                position={"file": index, **block.position},
                num_bytes_read=num_bytes_before + block.num_bytes_read,
            )
        num_bytes_before += path.stat().st_size


def read_file(
    spec: FilesCorpus, path: Path, start: int = 0, block_bytes: int | None = None
) -> Iterator[Block]:
    """The documents of one file from `start` on, in the units of its reader; `block_bytes` sets a
    smaller block size."""
    try:
        yield from _reader(spec, path, start, block_bytes)
    except NoTextError as error:
        requirement = "text in UTF-8 (?encoding=NAME reads another)"
        raise bad(f"file {path}", requirement, error) from None


def _reader(spec: FilesCorpus, path: Path, start: int, block_bytes: int | None) -> Iterator[Block]:
    kind = format_of(spec, path)
    if kind == "parquet":
        return read_parquet(path, spec, start, block_bytes)
    if kind == "conllu":
        from raydt.corpora.sources.read_conllu import read_conllu

        return read_conllu(path, spec, start, block_bytes)
    if kind in ("tsv", "csv") or (kind == "txt" and spec.field is not None):
        return read_table(path, spec, start, kind == "csv", block_bytes)
    return read_text(path, spec, start, kind == "jsonl", block_bytes)


def format_of(spec: FilesCorpus, path: Path) -> Format:
    """The format as which a file of a corpus is read."""
    return spec.format or file_format(path) or "txt"


class Stamp(NamedTuple):
    """A cheap identity of a file. The inode change time cannot be set by programs, so it also shows
    bytes that were overwritten with size and modification time restored."""

    path: str
    num_bytes: int
    modified_ns: int
    changed_ns: int


def stamp(path: Path) -> Stamp:
    """The stamp of a file now; `InputError` if it cannot be accessed."""
    try:
        status = path.stat()
    except OSError as error:
        raise bad(f"file {path}", "a file that can be read", error.strerror or error) from error
    return Stamp(str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
