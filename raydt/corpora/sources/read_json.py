"""Rows of JSON, one per line, as documents: in one step if all rows are regular, else row by
row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from raydt.corpora.sources.documents import (
    BLANK,
    NOT_UTF8,
    ODD_ROWS,
    REPLACED,
    from_column,
    from_list,
)
from raydt.corpora.sources.open_text import line_number
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError, bad

_SHOWN = 60  # characters of a row in a message


def read_rows(
    text: bytes, path: Path, offset: int, spec: FilesCorpus, counts: Counter[str]
) -> pa.LargeBinaryArray:
    """The column of whole lines of a file that start at `offset` of its text, which is UTF-8. A row
    whose column is null or missing is a blank document, so that rows keep their index. Raises
    `InputError` with the line of an irregular row, unless these are skipped."""
    if not text.strip():
        return from_list([])
    if offset == 0:
        _check_beginning(text, path, spec)
    column = _at_once(text, spec)
    if column is None:
        column = _Rows(path, offset, spec, counts).column(text)
    return from_column(column, spec.normalise, counts)


def empty_row(spec: FilesCorpus) -> bytes:
    """A row without text."""
    value: object = ""
    for name in reversed(spec.column.split(".")):
        value = {name: value}
    return json.dumps(value).encode()


def _check_beginning(text: bytes, path: Path, spec: FilesCorpus) -> None:
    where = f"file {path}"
    if text.lstrip().startswith(b"["):
        found = f"one array of all rows (`jq -c '.[]' {path.name}` writes one line per row)"
        raise bad(where, "one JSON object per line", found)
    # The name itself, or the first part of a nested name.
    names = {
        json.dumps(name, ensure_ascii=False).encode()
        for name in (spec.column, spec.column.partition(".")[0])
    }
    if any(name in text for name in names):
        return
    # No row has the column: it probably has another name.
    try:
        first = json.loads(text.lstrip().split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return  # reported later, with the other rows
    if not isinstance(first, dict) or any(_is_later(path, spec, name) for name in names):
        return  # not an object: reported later, with the other rows
    there = ", ".join(map(repr, first))
    requirement = f"rows with a column {spec.column!r} (?column=NAME names another)"
    raise bad(where, requirement, f"columns {there}")


def _is_later(path: Path, spec: FilesCorpus, name: bytes) -> bool:
    """Whether a name occurs in a file; if it does, it is usually found early."""
    from raydt.corpora.sources.open_text import open_text

    before = b""
    with open_text(path, spec) as text:
        while piece := text.read(2**20):
            if name in before[-len(name) :] + piece:
                return True
            before = piece
    return False


def _at_once(text: bytes, spec: FilesCorpus) -> pa.Array | None:
    """The column (R,); None if a row is irregular, so that rows must be read one by one."""
    if "." in spec.column or not _are_objects(text):
        return None
    parse = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema([(spec.column, pa.string())]), unexpected_field_behavior="ignore"
    )
    read = pyarrow.json.ReadOptions(block_size=len(text) + 1, use_threads=False)
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(text), read_options=read, parse_options=parse
        )
        return table.column(spec.column).combine_chunks()
    except (ValueError, KeyError):  # also Arrow's errors
        return None


def _are_objects(text: bytes) -> bool:
    """Whether every line starts like an object: Arrow 25 can crash on other values."""
    num_lines = text.count(b"\n") + (not text.endswith(b"\n"))
    return text.count(b"\n{") + text.startswith(b"{") == num_lines


class _Rows:
    """Reads rows one by one, and applies the options for irregular ones."""

    def __init__(self, path: Path, offset: int, spec: FilesCorpus, counts: Counter[str]) -> None:
        self._path, self._offset, self._spec, self._counts = path, offset, spec, counts

    def column(self, text: bytes) -> pa.Array:
        """The texts (R,), None for a row without text."""
        return pa.array(self._values(text), pa.large_string())

    def _values(self, text: bytes) -> Iterator[str | None]:
        at = self._offset
        for line in text.split(b"\n"):
            if line.strip():
                yield self._value(line, at)
            at += len(line) + 1

    def _value(self, line: bytes, at: int) -> str | None:
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error) or "nested too deep"
            found = f"{reason} in {_short(line)}"
            if line.strip() == b"{":
                found += f": a row over several lines (`jq -c . {self._path.name}` joins them)"
            return self._odd(at, "one JSON object per line", found)
        if not isinstance(row, dict):
            return self._odd(at, "one JSON object per line", _short(line))
        value: object = row
        if self._spec.column in row:
            value = row[self._spec.column]
        else:
            for name in self._spec.column.split("."):
                value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, list) and self._spec.lists == "join":
            texts = [each for each in value if each is not None]  # as for parquet
            value = "\n".join(texts) if all(isinstance(each, str) for each in texts) else value
        if value is None:
            return None
        if self._spec.column == self._spec.split_by and isinstance(value, int):
            return str(value)  # a name may be a number
        if not isinstance(value, str):
            is_joined = isinstance(value, list) and self._spec.lists != "join"
            hint = " (?lists=join joins lists of texts)" if is_joined else ""
            requirement = f"text in column {self._spec.column!r}{hint}"
            return self._odd(at, requirement, json.dumps(value)[:_SHOWN])
        return self._whole(value, at)

    def _whole(self, value: str, at: int) -> str | None:
        """The text if it is valid Unicode: JSON can contain lone surrogates."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            if self._spec.not_utf8 == "replace":
                self._counts[REPLACED] += 1
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if self._spec.not_utf8 == "skip":
                self._counts[NOT_UTF8] += 1
                self._counts[BLANK] -= 1
                return ""
            raise self._refused(
                at,
                "valid Unicode (?not_utf8=replace or skip handles invalid text)",
                f"a lone surrogate, {value[error.start]!r}",
            ) from None
        return value

    def _odd(self, at: int, requirement: str, found: str) -> str:
        if self._spec.odd_rows == "error":
            raise self._refused(at, f"{requirement} (?odd_rows=skip omits other rows)", found)
        self._counts[ODD_ROWS] += 1
        self._counts[BLANK] -= 1
        return ""

    def _refused(self, at: int, requirement: str, found: str) -> InputError:
        line = line_number(self._path, self._spec, at)
        return bad(f"file {self._path}, line {line}", requirement, found)


def _short(line: bytes) -> str:
    text = line.strip().decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
