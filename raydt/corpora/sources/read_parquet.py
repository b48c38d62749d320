"""A text column of a parquet file as blocks of documents, from Arrow's buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from raydt.corpora.background import map_in_threads
from raydt.corpora.sources.documents import (
    BLANK,
    NOT_UTF8,
    REPLACED,
    Block,
    from_column,
)
from raydt.corpora.sources.signatures import other_than_text
from raydt.corpora.spec import FilesCorpus
from raydt.errors import bad

_BLOCK_BYTES = 2**23
_GROUP_BYTES = 2**24  # of a column in a row group, up to which the group is read whole
_READ_BYTES = 2**20
_HEAD_BYTES = 2**9  # read to recognise other files
_MAX_ROWS = 2**16
# Types of columns, for `pa.types.is_...`.
_TEXTS = "string large_string string_view binary large_binary binary_view fixed_size_binary".split()
_LISTS = "list large_list fixed_size_list".split()


def read_parquet(
    path: Path, spec: FilesCorpus, start: int, block_bytes: int | None = None
) -> Iterator[Block]:
    """The documents of a file from row `start` on, in pages of `block_bytes` if given.

    Raises `InputError` if it has no such column of text, or a row is not UTF-8.
    """
    where = f"file {path}"
    try:
        with path.open("rb") as beginning:
            head = beginning.read(_HEAD_BYTES)
        found = None if head.startswith(b"PAR1") else other_than_text(head)
        if found:
            raise bad(where, "a complete parquet file", found)
        # In pages of one column: a memory-mapped file, or a column read at once, would fill the
        # memory of this process.
        with pyarrow.parquet.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            _check_column(file, spec, where)
            yield from _Column(path, file, spec, start, block_bytes).blocks()
    except OSError as error:
        found = error.strerror or str(error)
        raise bad(where, "a readable file", found) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise bad(where, "a complete parquet file", str(error).splitlines()[0]) from error


@dataclass(frozen=True)
class _Column:
    """The column of an open file, from row `start` on."""

    path: Path
    file: pyarrow.parquet.ParquetFile
    spec: FilesCorpus
    start: int
    block_bytes: int | None = None

    def blocks(self) -> Iterator[Block]:
        """The documents: small groups are read whole, several in parallel; others a few pages at a
        time."""
        groups = self._groups()
        if self.block_bytes is None and all(self._is_small(group) for group, _ in groups):
            yield from map_in_threads(groups, self._read_group)
            return
        for group, first in groups:
            yield from self._read_pages(group, first)

    def _groups(self) -> list[tuple[int, int]]:
        """The row groups that end after row `start`, and the first row of each."""
        found, row = [], 0
        for group in range(self.file.num_row_groups):
            first, row = row, row + self._num_rows(group)
            if row > self.start:
                found.append((group, first))
        return found

    def _read_group(self, place: tuple[int, int]) -> Block:
        group, first = place
        # A reader per group, because readers are not thread-safe.
        metadata = self.file.metadata
        with pyarrow.parquet.ParquetFile(self.path, metadata=metadata, pre_buffer=False) as own:
            table = own.read_row_group(group, columns=[self.spec.column], use_threads=False)
        column = table.column(0)
        column = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
        return self._block(column, first)

    def _read_pages(self, group: int, first: int) -> Iterator[Block]:
        num_rows = self._num_rows(group)
        rows = (self.block_bytes or _BLOCK_BYTES) * num_rows // max(1, self._num_bytes(group))
        row = first
        for batch in self.file.iter_batches(
            max(1, min(rows, _MAX_ROWS)),
            row_groups=[group],
            columns=[self.spec.column],
            use_threads=False,
        ):
            column = batch.column(0)
            row += len(column)
            if row > self.start:
                yield self._block(column, row - len(column))

    def _block(self, column: pa.Array, first: int) -> Block:
        """The rows of a part of the column that begins at row `first`, from `start` on."""
        row = first + len(column)
        column = column.slice(max(0, self.start - first))
        counts: Counter[str] = Counter()
        where = f"file {self.path}"
        column = _texts(column, self.spec, self.file.schema_arrow)
        documents = _documents(column, row - len(column), self.spec, where, counts)
        num_rows = max(1, self.file.metadata.num_rows)
        num_bytes_read = self.path.stat().st_size * row // num_rows
        return Block(documents, {"offset": row}, num_bytes_read, counts)

    def _is_small(self, group: int) -> bool:
        return self._num_rows(group) <= _MAX_ROWS and self._num_bytes(group) <= _GROUP_BYTES

    def _num_rows(self, group: int) -> int:
        num_rows: int = self.file.metadata.row_group(group).num_rows
        return num_rows

    def _num_bytes(self, group: int) -> int:
        """Bytes of a row group before compression; repeated values may be stored once."""
        names = self.file.schema_arrow.names
        is_nested = len(names) != int(self.file.metadata.num_columns)
        if is_nested or self.spec.column not in names:
            return 2**30  # unknown
        index = names.index(self.spec.column)
        num_bytes: int = self.file.metadata.row_group(group).column(index).total_uncompressed_size
        return num_bytes


def _check_column(file: pyarrow.parquet.ParquetFile, spec: FilesCorpus, where: str) -> None:
    schema = file.schema_arrow
    if schema.names.count(spec.column) > 1:
        raise bad(where, f"one column {spec.column!r}", f"{schema.names.count(spec.column)}")
    kind = _type_of(schema, spec.column)
    if kind is None:
        there = ", ".join(map(repr, schema.names)) or "no columns"
        inner = " (?column=NAME selects another, NAME.NAME a nested one)"
        raise bad(where, f"a column {spec.column!r}{inner}", f"columns {there}")
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_list(kind):
        if spec.lists == "join" and _is_text(kind.value_type):
            return
        hint = " (?lists=join joins lists of texts)" if _is_text(kind.value_type) else ""
        raise bad(where, f"text in column {spec.column!r}{hint}", f"{kind}")
    # A document's name (`split_by`) may be a number.
    is_name = spec.column == spec.split_by and pa.types.is_integer(kind)
    if not (_is_text(kind) or pa.types.is_null(kind) or is_name):
        raise bad(where, f"text in column {spec.column!r}", f"{kind}")


def _type_of(schema: pa.Schema, column: str) -> pa.DataType | None:
    """The type of a column, or of a nested one (NAME.NAME); None if it does not exist."""
    if column in schema.names:
        return schema.field(column).type
    first, *names = column.split(".")
    kind = schema.field(first).type if schema.names.count(first) == 1 else None
    for name in names:
        if kind is None or not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind if names else None


def _is_text(kind: pa.DataType) -> bool:
    return any(getattr(pa.types, f"is_{check}")(kind) for check in _TEXTS)


def _is_list(kind: pa.DataType) -> bool:
    return any(getattr(pa.types, f"is_{check}")(kind) for check in _LISTS)


def _texts(column: pa.Array, spec: FilesCorpus, schema: pa.Schema) -> pa.Array:
    """The texts (R,) of a column (R,): resolves nested columns and joins lists."""
    if spec.column not in schema.names:
        column = pc.struct_field(column, spec.column.split(".")[1:])
    if pa.types.is_null(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.large_string())
    if _is_list(column.type):
        rows = (
            None if row is None else b"\n".join(each for each in row if each is not None)
            for row in column.cast(pa.large_list(pa.large_binary())).to_pylist()
        )
        return pa.array(rows, pa.large_binary())
    return column


def _documents(
    column: pa.Array, first_row: int, spec: FilesCorpus, where: str, counts: Counter[str]
) -> pa.LargeBinaryArray:
    try:
        # The parquet reader does not validate text.
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
