"""Read losses from a file. All rows are checked before any is used.

There are two forms, distinguished by their columns:

- the authors' (NAACL 2024): init_language, target, model_size, data_size, loss. `scratch` is a
  random initialisation, a data size of 0 bytes is zeroshot.
- raydt's, which `raydt analyze` also writes as cells.csv: stage, target, loss (or test_loss), a
  size or size_bytes, and if they apply source, seed, model, status, reason, stopped and the other
  numbers of a cell. Without a stage, a source `scratch` and a size of 0 say it.

Columns with other names are mapped to these, and missing values are declared. Losses are in nats
per byte unless another unit is declared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raydt.errors import InputError, Problem, bad
from raydt.losses.columns import (
    KNOWN,
    SYNONYMS,
    Declared,
    check_columns,
    check_unit,
    find_columns,
    listed,
)
from raydt.losses.declared_sizes import DeclaredSizes
from raydt.losses.file import read_file
from raydt.losses.layouts import AuthorsLine, OwnLine
from raydt.losses.line import DECIMAL_COMMA, LineRules
from raydt.losses.problem import SHOWN_LINES, grouped
from raydt.losses.row import LossRow
from raydt.losses.units import UNIFORM_NATS, LossUnit
from raydt.tracking.schema import Stage, Status


@dataclass(frozen=True)
class LossTable:
    """The rows of a file, the sizes used, what was left out and why, and notes for the reader."""

    rows: tuple[LossRow, ...]
    sizes: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()
    unit: str = ""

    @property
    def digest(self) -> str:
        """A hash of all rows, independent of their order."""
        return self.digest_with([])

    def digest_with(self, others: Sequence[str]) -> str:
        """A hash of all rows and of others' fingerprints."""
        prints = "\n".join(sorted([*(row.fingerprint for row in self.rows), *others]))
        return hashlib.sha256(prints.encode()).hexdigest()


@dataclass(frozen=True)
class DeclaredLines:
    """A file's lines, in one of the two forms, with declarations applied.

    columns: the file's columns by our names; each: line number and line.
    """

    unit: str  # of the numbers: line, row
    problems: tuple[Problem, ...]
    columns: frozenset[str]
    all_columns: tuple[str, ...]
    passed_over: tuple[str, ...]
    sizes: DeclaredSizes
    rules: LineRules
    each: tuple[tuple[int, AuthorsLine | OwnLine], ...]


def read_lines(path: Path, size_words: Sequence[str], declared: Declared) -> DeclaredLines:
    """Read lines, with arguments as in `read_losses`; `InputError` if a column is missing or given
    twice."""
    file = read_file(path, KNOWN | {name.lower() for name in declared.columns.values()})
    names, passed_over = find_columns(path, file, declared)
    having = names.keys() | declared.constants.keys()
    authors = bool({"init_language", "data_size"} & having)
    check_columns(path, file, having, authors, bool(declared.columns))
    sizes = DeclaredSizes(size_words, "published" if authors else "nominal")
    check_unit(path, names, declared)
    rules = LineRules(
        sizes,
        declared.unit,
        has_stages=authors or "stage" in having,
        decimal_commas=any(
            DECIMAL_COMMA.fullmatch(values[theirs])
            for _, values in file.rows
            for ours, theirs in names.items()
            if SYNONYMS.get(ours, ours) == "test_loss"
        ),
    )
    reader = AuthorsLine if authors else OwnLine
    constants = {SYNONYMS.get(ours, ours): value for ours, value in declared.constants.items()}
    each = []
    for number, values in file.rows:
        texts = {SYNONYMS.get(ours, ours): values[theirs] for ours, theirs in names.items()}
        line = reader(path.name, file.unit, number, texts | constants, rules)
        each.append((number, line))
    return DeclaredLines(
        file.unit,
        tuple(file.problems),
        frozenset(names),
        tuple(file.columns),
        tuple(passed_over),
        sizes,
        rules,
        tuple(each),
    )


def read_losses(
    path: Path, size_words: Sequence[str] = (), declared: Declared | None = None
) -> LossTable:
    """Read the losses of a file. `size_words` are those of `DeclaredSizes`; the default table is
    the published one for the authors' form, and the nominal one for raydt's.

    Identical rows count once. A row without a loss is a missing cell. Raises `InputError` with
    every bad row and its line: a file with a bad row is not imported.
    """
    declared = declared or Declared({}, {})
    lines = read_lines(path, size_words, declared)
    found = _Rows(path, lines.unit, lines.problems)
    for number, line in lines.each:
        found.take(number, line)
    found.add_missing()
    if found.problems:
        raise InputError(grouped(found.problems))
    if not any(
        row.test_loss or row.stage is Stage.PRETRAIN or row.status is not Status.WAITING
        for row in found.rows
    ):
        raise bad(path.name, "at least one row that can be analysed", "none")
    notes = [*found.notes(), *lines.rules.notes()]
    if lines.passed_over:
        notes.append(f"ignored columns: {listed(lines.passed_over)}")
    unused = sorted(lines.sizes.overrides.keys() - found.labels)
    if unused:
        notes.append(f"no row has the size {', '.join(unused)}, whose bytes were declared")
    notes += _alike(found.rows)
    if declared.unit != LossUnit():
        notes.append(f"losses were read as {declared.unit}")
    high = [row for row in found.rows if (row.test_loss or 0) > UNIFORM_NATS]
    if high:
        worst = max(high, key=lambda row: row.test_loss or 0)
        notes.append(
            f"{len(high)} losses are above {UNIFORM_NATS:.3f} nats per byte, the loss of a uniform "
            f"distribution over bytes, such as {worst.test_loss:g} of {worst.cell_id}: are they "
            f"nats "
            "per byte? Declare other units with --unit or --bytes-per-token"
        )
    return LossTable(
        tuple(found.rows),
        str(lines.sizes),
        tuple(found.left_out()),
        tuple(notes),
        str(declared.unit),
    )


class _Rows:
    """Collects rows, with repetitions and missing ones."""

    def __init__(self, path: Path, unit: str, problems: Sequence[Problem]) -> None:
        self.rows: list[LossRow] = []
        self.labels: set[str] = set()  # sizes as written
        self.problems = list(problems)
        self._path, self._unit = path, unit
        self._seen: dict[tuple[object, ...], tuple[int, LossRow]] = {}
        self._names: dict[str, tuple[object, ...]] = {}
        self._untrained: list[int] = []
        self._repeated: list[int] = []
        self._missing: list[tuple[int, LossRow]] = []

    def take(self, number: int, line: AuthorsLine | OwnLine) -> None:
        """Add a row, unless it is invalid, or already there."""
        self.labels.add(line.size_label)
        row = line.row(self.problems)
        if row is None:
            return
        where = f"{self._path.name} {self._unit} {number}"
        if row.stage is Stage.SCRATCH and row.size_bytes == 0:
            self._untrained.append(number)
            return
        if line.has_no_loss:
            self._missing.append((number, row))
            return
        if row.key in self._seen:
            before, same = self._seen[row.key]
            if same.fingerprint == replace(row, size=same.size).fingerprint:
                self._repeated.append(number)
                return
            requirement = "each cell once (repetitions need a column seed)"
            found = f"{row.cell_id} also in {self._unit} {before}, with other numbers"
            self.problems.append(Problem(where, requirement, found))
        elif self._names.setdefault(row.cell_id, row.key) != row.key:
            requirement = "names of languages and sizes that give different cell ids"
            self.problems.append(Problem(where, requirement, row.cell_id))
        self._seen.setdefault(row.key, (number, row))
        self.rows.append(row)

    def add_missing(self) -> None:
        """Add rows without a loss to the plan, unless another row has the loss."""
        for number, row in self._missing:
            if row.key not in self._seen:
                self._seen[row.key] = (number, row)
                self.rows.append(row)

    def left_out(self) -> list[str]:
        """Descriptions of rows that are not cells."""
        found = []
        if self._untrained:
            found.append(
                f"{len(self._untrained)} scratch rows at 0 bytes (an untrained model is not a rung "
                f"of a ladder): {self._lines(self._untrained)}"
            )
        if self._missing:
            found.append(
                f"{len(self._missing)} rows without a loss, which are missing cells: "
                f"{self._lines([number for number, _ in self._missing])}"
            )
        return found

    def notes(self) -> list[str]:
        """Notes on rows that were not counted as they are."""
        if not self._repeated:
            return []
        num = len(self._repeated)
        return [f"{num} repeated rows count once: {self._lines(self._repeated)}"]

    def _lines(self, numbers: Sequence[int]) -> str:
        shown = ", ".join(map(str, numbers[:SHOWN_LINES]))
        return f"{self._unit}s {shown}{', ...' if len(numbers) > SHOWN_LINES else ''}"


def _alike(rows: Sequence[LossRow]) -> list[str]:
    """A note on languages that differ only in case, which are probably the same."""
    names = {name for row in rows for name in (row.source, row.target) if name is not None}
    folded: dict[str, list[str]] = {}
    for name in sorted(names):
        folded.setdefault(name.casefold(), []).append(name)
    pairs = [" and ".join(each) for each in folded.values() if len(each) > 1]
    return [f"languages that differ only in case: {listed(pairs)}"] if pairs else []
