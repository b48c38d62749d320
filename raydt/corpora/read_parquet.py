"""A text column of a parquet file as blocks of documents, from Arrow's buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from raydt.corpora.ahead import in_order
from raydt.corpora.documents import (
    BLANK,
    NOT_UTF8,
    REPLACED,
    Block,
    from_column,
)
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad

_BLOCK_BYTES = 2**23
_GROUP_BYTES = 2**24  # of a column in a row group that is held whole
_READ_BYTES = 2**20
_MAX_ROWS = 2**16


def read_parquet(path: Path, spec: FilesCorpus, start: int) -> Iterator[Block]:
    """The documents of a file from row `start` on.

    `InputError` if there is no such column of text, or if a row of it is not UTF-8.
    """
    where = f"file {path}"
    try:
        # By pages of one column: a file that was mapped, or a column read at once, would fill the
        # memory of this process.
        with pyarrow.parquet.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            _check_column(file, spec.column, where)
            groups = _groups(file, start)
            if all(_is_small(file, group, spec.column) for group, _ in groups):
                yield from _small_groups(path, file, groups, spec, start)
            else:
                yield from _large_groups(path, file, groups, spec, start)
    except OSError as error:
        found = error.strerror or str(error)
        raise bad(where, "a file that can be read", found) from error
    except pa.ArrowInvalid as error:
        raise bad(where, "a whole parquet file", error) from error


def _groups(file: pyarrow.parquet.ParquetFile, start: int) -> list[tuple[int, int]]:
    """The row groups that end after row `start`, and the first row of each."""
    found, row = [], 0
    for group in range(file.num_row_groups):
        first, row = row, row + file.metadata.row_group(group).num_rows
        if row > start:
            found.append((group, first))
    return found


def _small_groups(
    path: Path,
    file: pyarrow.parquet.ParquetFile,
    groups: list[tuple[int, int]],
    spec: FilesCorpus,
    start: int,
) -> Iterator[Block]:
    """Groups that can be held whole: several at once, a thread each."""
    size = path.stat().st_size

    def read(place: tuple[int, int]) -> Block:
        group, first = place
        # A reader of its own, as one is not for several threads.
        with pyarrow.parquet.ParquetFile(path, metadata=file.metadata, pre_buffer=False) as own:
            table = own.read_row_group(group, columns=[spec.column], use_threads=False)
        column = table.column(0)
        column = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
        return _block(column, first, file, spec, path, size, start)

    yield from in_order(groups, read)


def _large_groups(
    path: Path,
    file: pyarrow.parquet.ParquetFile,
    groups: list[tuple[int, int]],
    spec: FilesCorpus,
    start: int,
) -> Iterator[Block]:
    """Groups that would take much memory: a few pages at a time."""
    size = path.stat().st_size
    for group, first in groups:
        row = first
        for batch in file.iter_batches(
            _rows_of_block(file, group, spec.column),
            row_groups=[group],
            columns=[spec.column],
            use_threads=False,
        ):
            column = batch.column(0)
            row += len(column)
            if row > start:
                yield _block(column, row - len(column), file, spec, path, size, start)


def _block(
    column: pa.Array,
    first: int,
    file: pyarrow.parquet.ParquetFile,
    spec: FilesCorpus,
    path: Path,
    size: int,
    start: int,
) -> Block:
    """The rows of a column from `start` on; `first` is its first."""
    row = first + len(column)
    column = column.slice(max(0, start - first))
    counts: Counter[str] = Counter()
    documents = _documents(column, row - len(column), spec, f"file {path}", counts)
    return Block(documents, {"offset": row}, size * row // max(1, file.metadata.num_rows), counts)


def _check_column(file: pyarrow.parquet.ParquetFile, column: str, where: str) -> None:
    schema = file.schema_arrow
    if column not in schema.names:
        there = ", ".join(map(repr, schema.names)) or "no columns"
        raise bad(where, f"a column {column!r} (?column=NAME names another)", f"columns {there}")
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_text or pa.types.is_string_view(kind) or pa.types.is_binary(kind)):
        raise bad(where, f"text in column {column!r}", f"{kind}")


def _is_small(file: pyarrow.parquet.ParquetFile, group: int, column: str) -> bool:
    num_rows: int = file.metadata.row_group(group).num_rows
    return num_rows <= _MAX_ROWS and _column_bytes(file, group, column) <= _GROUP_BYTES


def _rows_of_block(file: pyarrow.parquet.ParquetFile, group: int, column: str) -> int:
    num_rows = file.metadata.row_group(group).num_rows
    rows: int = _BLOCK_BYTES * num_rows // max(1, _column_bytes(file, group, column))
    return max(1, min(rows, _MAX_ROWS))


def _column_bytes(file: pyarrow.parquet.ParquetFile, group: int, column: str) -> int:
    """Bytes of a column of a row group before compression; a value said twice may be once here."""
    if not _is_flat(file):
        return 2**30  # not known
    index = file.schema_arrow.names.index(column)
    num_bytes: int = file.metadata.row_group(group).column(index).total_uncompressed_size
    return num_bytes


def _is_flat(file: pyarrow.parquet.ParquetFile) -> bool:
    """Whether columns of the schema and of the file are the same; a nested one is several."""
    return len(file.schema_arrow.names) == int(file.metadata.num_columns)


def _documents(
    column: pa.Array, first_row: int, spec: FilesCorpus, where: str, counts: Counter[str]
) -> pa.LargeBinaryArray:
    try:
        # The parquet reader takes a column's word for being text.
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.large_binary()).cast(pa.large_string())
        return from_column(column, spec.normalise, counts)
    except pa.ArrowInvalid:
        pass
    mended: list[str | None] = []
    for index, value in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            mended.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            if spec.not_utf8 == "error":
                found = f"byte 0x{value[error.start]:02x} at offset {error.start} of row "
                raise bad(where, "UTF-8 text", f"{found}{first_row + index}") from error
            if spec.not_utf8 == "replace":
                counts[REPLACED] += 1
                mended.append(value.decode("utf-8", "replace"))
            else:
                counts[NOT_UTF8] += 1
                counts[BLANK] -= 1
                mended.append("")
    return from_column(pa.array(mended, pa.large_string()), spec.normalise, counts)
