"""Read a file of losses as rows of named texts, from whatever spreadsheet or program.

CSV with any of the usual separators, a decimal comma, comments, an unnamed index, in UTF-8 or
Excel's Unicode text; JSON with one row per line, or an array; parquet.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydt.errors import Problem, bad

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DECLARED = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's first line
_BLANKS = "blanks"  # aligned columns, as R and terminals print them
_RULE = re.compile(r"[\s|:+=-]*-[\s|:+=-]*")  # below the header of a Markdown table
_MANY_COLUMNS = 2  # known names that make a line a header
_BEFORE_HEADER = 20  # lines to search for the header, after titles and remarks
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class LossFile:
    """Column names, and rows with their line numbers (row numbers for JSON and parquet)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    unit: str = "line"  # of the numbers
    separator: str | None = None  # of a CSV, as a word
    problems: tuple[Problem, ...] = ()  # rows with another number of values


def read_file(path: Path, known: Collection[str]) -> LossFile:
    """The rows of a file. `known` are column names in lower case, which help to find the separator.
    Raises `InputError` with the line that cannot be read."""
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return _parquet(path)
        text = _decoded(path)
    except FileNotFoundError:
        raise bad("file", "a table of losses", f"no file at {path}") from None
    except OSError as error:
        raise bad("file", "a table of losses", f"{path}: {error.strerror or error}") from None
    if not text.strip():
        raise bad("file", "a table of losses", f"an empty one, {path}")
    if text.lstrip()[0] in "{[" and not name.endswith((".csv", ".tsv", ".txt")):
        return _json(path, text)
    return _csv(path, text, known)


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) and ".xls" in path.suffix.lower():
        requirement = "CSV, JSON lines or parquet (in the spreadsheet, save the sheet as CSV UTF-8)"
        raise bad("file", requirement, f"{path}, an Excel workbook")
    if data.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise bad("file", "an unpacked table of losses", f"{path}, which is compressed")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        found = f"{path} line {line}: byte 0x{data[error.start]:02x}"
        requirement = (
            "a table of losses in UTF-8, or UTF-16 with a BOM (in a spreadsheet, save it as CSV "
            "UTF-8; or find its encoding and convert it: iconv -f latin1 -t utf-8)"
        )
        raise bad("file", requirement, found) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        requirement = "a table of losses in UTF-8, or UTF-16 with a BOM"
        raise bad("file", requirement, f"{path} line {line}: a NUL")
    # Old spreadsheets on a Mac end lines in CR only.
    return text if "\n" in text else text.replace("\r", "\n")


def _csv(path: Path, text: str, known: Collection[str]) -> LossFile:
    csv.field_size_limit(sys.maxsize)
    lines = text.split("\n")
    declared = _DECLARED.fullmatch(lines[0].strip("\r"))
    # Lines outside the table become empty, so that the others keep their numbers.
    kept = ["" if _is_comment(line) else line for line in lines]
    if declared:
        kept[0] = ""
    first = _first_line(kept, known, declared[1] if declared else None)
    kept[:first] = [""] * first
    separator = declared[1] if declared else _separator(kept[first], known)
    if separator == "|":
        kept = ["" if _RULE.fullmatch(line) else line for line in kept]
    elif separator == _BLANKS:
        kept, separator = ["\t".join(line.split()) for line in kept], "\t"
    reader = csv.reader(io.StringIO("\n".join(kept)), delimiter=separator, strict=True)
    try:
        found = [(reader.line_num, values) for values in reader if any(map(str.strip, values))]
    except csv.Error as error:
        found_at = f"{path} line {reader.line_num}: {error}"
        raise bad("file", "a CSV file of losses", found_at) from None
    if not found:
        raise bad("file", "a table of losses", f"an empty one, {path}")
    columns = [name.strip() for name in found[0][1]]
    rows = []
    problems: list[Problem] = []
    for number, values in found[1:]:
        if len(values) == len(columns) + 1 and "" not in columns:
            # The program gave the index no name in the header.
            values = values[1:]
        while len(values) > len(columns) and not values[-1].strip():
            values.pop()  # spreadsheets end lines with separators
        if len(values) != len(columns):
            name = _DELIMITERS.get(separator, repr(separator))
            requirement = f"{len(columns)} values per line, separated by {name}"
            found_there = f"{len(values)} in line {number}"
            problems.append(Problem(path.name, requirement, found_there))
            continue
        if [value.strip() for value in values] == columns:
            continue  # a repeated header, from concatenated tables
        rows.append((number, dict(zip(columns, map(str.strip, values), strict=True))))
    return LossFile(
        tuple(columns),
        tuple(rows),
        separator=_DELIMITERS.get(separator, repr(separator)),
        problems=tuple(problems),
    )


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _first_line(lines: Sequence[str], known: Collection[str], declared: str | None) -> int:
    """The line of the header: the first with some known names, else the first that is not empty."""
    filled = [number for number, line in enumerate(lines) if line.strip()][:_BEFORE_HEADER]
    for number in filled:
        separators = [declared] if declared else [*_DELIMITERS, _BLANKS]
        if max(_num_known(lines[number], each, known)[0] for each in separators) >= _MANY_COLUMNS:
            return number
    return filled[0] if filled else 0


def _separator(header: str, known: Collection[str]) -> str:
    """The separator with which the first line has the most known columns, or the most columns."""
    found = max(_DELIMITERS, key=lambda separator: _num_known(header, separator, known))
    num_known, num = _num_known(header, found, known)
    by_blanks = _num_known(header, _BLANKS, known)[0]
    return _BLANKS if num == 1 and by_blanks >= max(_MANY_COLUMNS, num_known) else found


def _num_known(header: str, separator: str, known: Collection[str]) -> tuple[int, int]:
    """The number of known columns of a line, and the number of all."""
    try:
        names = (
            header.split()
            if separator == _BLANKS
            else next(csv.reader([header], delimiter=separator), [])
        )
    except csv.Error:
        return 0, 0
    is_known = (re.sub(r"[\s-]", "_", name.strip().lower()) in known for name in names)
    return sum(is_known), len(names)


def _json(path: Path, text: str) -> LossFile:
    rows: list[tuple[int, object]] = []
    try:
        if text.lstrip().startswith("["):
            whole = json.loads(text)
            rows = list(enumerate(whole, 1))
        else:
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    rows.append((number, json.loads(line)))
    except (ValueError, RecursionError) as error:
        number = len(rows) + 1
        raise bad(f"{path.name} line {number}", "a row of JSON", str(error)[:200]) from None
    found = []
    for number, row in rows:
        if not isinstance(row, dict):
            raise bad(f"{path.name} row {number}", "a JSON object", repr(row)[:80])
        found.append((number, _flat(row)))
    columns = tuple(dict.fromkeys(name for _, row in found for name in row))
    if not columns:
        raise bad("file", "a table of losses", f"an empty one, {path}")
    complete = tuple(
        (number, {name: row.get(name, "") for name in columns}) for number, row in found
    )
    return LossFile(columns, complete, unit="row" if text.lstrip()[0] == "[" else "line")


def _flat(row: Mapping[str, object], before: str = "") -> dict[str, str]:
    """An object as texts; the names of nested ones are joined by slashes."""
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict) and before.count("/") < 8:
            found |= _flat(value, f"{before}{name}/")
        else:
            found[f"{before}{name}"] = _text(value)
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value == value and abs(value) < 2**63 and value == int(value):
        return str(int(value))
    return value.strip() if isinstance(value, str) else str(value)


def _parquet(path: Path) -> LossFile:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
        rows: Sequence[dict[str, object]] = table.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError, ValueError) as error:
        raise bad("file", "a table of losses in parquet", f"{path}: {error}") from None
    columns = tuple(table.column_names)
    texts = ({name: _text(row[name]) for name in columns} for row in rows)
    return LossFile(columns, tuple(enumerate(texts, 1)), unit="row")
