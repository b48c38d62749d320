"""A column of a table as documents: .tsv, or any lines with tabs, by line; .csv by record.

In lines with tabs a quotation mark is part of the text, as in Leipzig, Tatoeba and MADLAD. In .csv
a quoted text may contain line breaks.
"""

from __future__ import annotations

import codecs
import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from raydt.corpora.options import UTF8
from raydt.corpora.sources.documents import (
    BLANK,
    NOT_UTF8,
    ODD_ROWS,
    REPLACED,
    Block,
    from_column,
)
from raydt.corpora.sources.open_text import Text, open_text
from raydt.corpora.sources.signatures import control_bytes
from raydt.corpora.spec import FilesCorpus
from raydt.errors import InputError, bad

_BLOCK_BYTES = 2**22
_DELIMITERS = ",;\t|"


def read_table(
    path: Path, spec: FilesCorpus, start: int, is_csv: bool, block_bytes: int | None = None
) -> Iterator[Block]:
    """The documents of a table from record `start` on, not counting its header.

    Raises `InputError` with the line of a record that lacks the column, unless irregular rows are
    skipped, and for text in another encoding than declared.
    """
    with open_text(path, spec) as text:
        table = _Table(path, spec, text, block_bytes or _BLOCK_BYTES)
        records = table.csv_records() if is_csv else table.lines()
        number = start
        for _ in islice(records, start):
            pass
        table.counts.clear()
        held: list[str | None] = []
        num_characters = 0
        for record in records:
            held.append(record)
            number += 1
            num_characters += len(record or "")
            if num_characters >= table.block_bytes or len(held) >= 2**16:
                yield table.block(held, number)
                held, num_characters = [], 0
        if held:
            yield table.block(held, number)


class _Table:
    """An open table: its records in order, None for one without text."""

    def __init__(self, path: Path, spec: FilesCorpus, text: Text, block_bytes: int) -> None:
        self._path, self._spec, self._text, self.block_bytes = path, spec, text, block_bytes
        self.counts: Counter[str] = Counter()
        self._line = 0  # the last line read
        self._is_broken = False  # a line of this record is not UTF-8, so it will be omitted

    def block(self, texts: list[str | None], position: int) -> Block:
        """Records (R,) as documents; `position` is the number of the next one."""
        counts = self.counts
        self.counts = Counter()
        column = from_column(pa.array(texts, pa.large_string()), self._spec.normalise, counts)
        return Block(column, {"offset": position}, self._text.num_bytes_read, counts)

    def lines(self) -> Iterator[str | None]:
        """A field of each line with tabs: the one with the given number or column name."""
        lines = self._lines()
        index = self._spec.field and self._spec.field - 1
        if index is None:
            header = next(lines, "").rstrip("\r\n").split("\t")
            index = self._index(header)
        for line in lines:
            line = line.rstrip("\r\n")
            if not line.strip():
                yield self._checked("")  # keeps its index, like a blank line of a text
                continue
            yield self._field(line.split("\t"), index)

    def csv_records(self) -> Iterator[str | None]:
        """A column of each record of a file with separators."""
        csv.field_size_limit(sys.maxsize)
        lines = self._lines()
        first = next(lines, "")
        index = self._spec.field and self._spec.field - 1
        fields = [_fields_of(first, each) for each in _DELIMITERS]
        if index is None:
            having = [i for i, names in enumerate(fields) if self._spec.column in names]
            most = having[0] if having else max(range(len(fields)), key=lambda i: len(fields[i]))
            index = self._index(fields[most])
            reader = csv.reader(lines, delimiter=_DELIMITERS[most], strict=True)
        else:
            most = max(range(len(fields)), key=lambda i: len(fields[i]))
            together = (line for part in ([first], lines) for line in part)
            reader = csv.reader(together, delimiter=_DELIMITERS[most], strict=True)
        tab = _DELIMITERS.index("\t")
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                hint = " (?format=tsv, if quotation marks are text)" if most == tab else ""
                yield self._odd(f"a record of CSV{hint}", str(error))
                continue
            if record:
                yield self._field(record, index)

    def _field(self, fields: Sequence[str], index: int) -> str | None:
        if index < len(fields):
            return self._checked(fields[index])
        requirement = f"a line with at least {index + 1} fields"
        return self._odd(requirement, f"{len(fields)}: {'  '.join(fields)[:60]!r}")

    def _checked(self, text: str) -> str:
        if not self._is_broken:
            return text
        self._is_broken = False
        self.counts[NOT_UTF8] += 1
        self.counts[BLANK] -= 1
        return ""

    def _odd(self, requirement: str, found: str) -> str:
        self._is_broken = False
        if self._spec.odd_rows == "error":
            raise self._refused(f"{requirement} (?odd_rows=skip omits other rows)", found)
        self.counts[ODD_ROWS] += 1
        self.counts[BLANK] -= 1
        return ""

    def _index(self, header: Sequence[str]) -> int:
        if self._spec.column in header:
            return header.index(self._spec.column)
        shown = ", ".join(repr(name[:40]) for name in header[:12])
        requirement = (
            f"a column {self._spec.column!r} in the first line (?column=NAME selects another, "
            "?field=NUMBER one of a table without a header)"
        )
        raise bad(f"file {self._path}", requirement, f"columns {shown}")

    def _lines(self) -> Iterator[str]:
        """The decoded lines with their line ends, after the options for invalid text."""
        held = b""
        while piece := self._text.read(self.block_bytes):
            found = control_bytes(np.frombuffer(piece, dtype=np.uint8))
            if found is not None:
                requirement = "text in UTF-8 (?encoding=NAME reads another)"
                raise bad(f"file {self._path}", requirement, found)
            if self._line == 0 and not held:
                piece = piece.removeprefix(codecs.BOM_UTF8)
            *whole, held = (held + piece).split(b"\n")
            for line in whole:
                yield self._decoded(line + b"\n")
        if held:
            yield self._decoded(held)

    def _decoded(self, line: bytes) -> str:
        self._line += 1
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            if self._spec.not_utf8 == "replace":
                self.counts[REPLACED] += 1
            elif self._spec.not_utf8 == "skip":
                self._is_broken = True
            else:
                name = "UTF-8" if self._spec.encoding == UTF8 else self._spec.encoding
                raise self._refused(
                    f"text in {name} (?encoding=NAME reads another encoding, ?not_utf8=replace or "
                    "skip handles invalid text)",
                    f"byte 0x{line[error.start]:02x} ({error.reason})",
                ) from None
            return line.decode("utf-8", "replace")

    def _refused(self, requirement: str, found: str) -> InputError:
        return bad(f"file {self._path}, line {self._line}", requirement, found)


def _fields_of(line: str, delimiter: str) -> list[str]:
    """The fields of the first line; empty if it is not CSV with this delimiter."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
