"""Reading somebody's losses from a CSV file: every row checked before any is used.

Two forms, told apart by their columns:

- the authors' (NAACL 2024): init_language, target, model_size, data_size, loss. `scratch` is a
  random initialisation, a data size of 0 bytes is zeroshot.
- raydt's, which is also what `raydt analyze` writes as cells.csv: stage, target, loss (or
  test_loss), a size or size_bytes, and where they apply source, seed, model, status, reason,
  stopped and the other numbers of a cell.

Losses are nats per byte.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raydt.errors import InputError, Problem, bad
from raydt.tracking.declared_sizes import DeclaredSizes
from raydt.tracking.loss_line import METRICS, AuthorsLine, OwnLine
from raydt.tracking.loss_row import LossRow
from raydt.tracking.schema import Stage

_AUTHORS = ("init_language", "target", "model_size", "data_size", "loss")
_SYNONYMS = {"loss": "test_loss", "loss_stderr": "test_loss_stderr"}
_CELL = "stage source target size size_bytes seed model".split()
_END = "status reason stopped precision test_loss".split()
_OWN = (*_CELL, *_END, *METRICS)
# Of cells.csv: names of its own store, and what follows from the loss.
_PASSED_OVER = ("cell_id", "run_id", "above_uniform")


@dataclass(frozen=True)
class LossTable:
    """The rows of a file, the sizes they were read with, and what was left out and why."""

    rows: tuple[LossRow, ...]
    sizes: str
    left_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hash of all rows, whatever their order."""
        prints = "\n".join(sorted(row.fingerprint for row in self.rows))
        return hashlib.sha256(prints.encode()).hexdigest()


def read_losses(path: Path, size_words: Sequence[str] = ()) -> LossTable:
    """The losses of a CSV file. `size_words` are those of `DeclaredSizes`; without a table among
    them it is the published one for the authors' form, and the nominal one for raydt's.

    `InputError` with every bad row and its line: nothing is read from a file that has one.
    """
    lines = _lines(path)
    header, body = lines[0][1], lines[1:]
    authors = "init_language" in header or "data_size" in header
    sizes = DeclaredSizes(size_words, "published" if authors else "nominal")
    _check_header(path, header, authors)
    reader = AuthorsLine if authors else OwnLine
    problems: list[Problem] = []
    rows: list[LossRow] = []
    untrained: list[int] = []
    seen: dict[tuple[object, ...], int] = {}
    names: dict[str, tuple[object, ...]] = {}
    for number, values in body:
        if len(values) != len(header):
            found = f"{len(values)} in line {number}"
            problems.append(Problem(path.name, f"{len(header)} values a line", found))
            continue
        texts = {
            _SYNONYMS.get(name, name): text.strip()
            for name, text in zip(header, values, strict=True)
        }
        row = reader(f"{path.name} line {number}", texts, sizes).row(problems)
        if row is None:
            continue
        if row.stage is Stage.SCRATCH and row.size_bytes == 0:
            untrained.append(number)
            continue
        if row.key in seen:
            requirement = "each cell once (repetitions need a column seed)"
            found = f"{row.cell_id} also in line {seen[row.key]}"
            problems.append(Problem(f"{path.name} line {number}", requirement, found))
        elif names.setdefault(row.cell_id, row.key) != row.key:
            requirement = "names of languages and sizes that tell cells apart"
            problems.append(Problem(f"{path.name} line {number}", requirement, row.cell_id))
        seen.setdefault(row.key, number)
        rows.append(row)
    if problems:
        raise InputError(problems)
    if not rows:
        raise bad(path.name, "at least one row that can be analysed", "none")
    left_out = []
    if untrained:
        shown = ", ".join(str(number) for number in untrained[:10])
        left_out.append(
            f"{len(untrained)} rows of scratch at 0 bytes (a model that was never trained is no "
            f"rung of a ladder): lines {shown}{', ...' if len(untrained) > 10 else ''}"
        )
    return LossTable(tuple(rows), str(sizes), tuple(left_out))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Header and rows with their line numbers; empty lines are passed over."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, values) for values in reader if any(values)]
    except FileNotFoundError:
        raise bad("file", "a CSV file of losses", f"none at {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise bad("file", "a CSV file of losses in UTF-8", f"{path}: {error}") from None
    if not lines:
        raise bad("file", "a CSV file of losses", f"an empty one, {path}")
    return [(lines[0][0], [name.strip() for name in lines[0][1]]), *lines[1:]]


def _check_header(path: Path, header: list[str], authors: bool) -> None:
    named = [_SYNONYMS.get(name, name) for name in header]
    problems = []
    if authors:
        required = {_SYNONYMS.get(name, name) for name in _AUTHORS}
        known = {*required, "seed"}
        form = "init_language, target, model_size, data_size, loss"
    else:
        required = {"stage", "target", "test_loss"}
        known = {*_OWN, *_PASSED_OVER}
        form = "stage, source, target, size or size_bytes, loss"
        if not {"size", "size_bytes"} & set(named):
            problems.append(Problem(path.name, "a column size or size_bytes", ", ".join(header)))
    for name in sorted(required - set(named)):
        shown = "loss" if name == "test_loss" else name
        requirement = f"a column {shown} (of {form})"
        problems.append(Problem(path.name, requirement, ", ".join(header)))
    for name in named:
        if name in known and named.count(name) > 1:
            problems.append(Problem(path.name, f"one column {name}", str(named.count(name))))
    unknown = [name for name in dict.fromkeys(named) if name not in known]
    if unknown:
        requirement = f"columns of {', '.join(sorted(known))}"
        problems.append(Problem(path.name, requirement, ", ".join(unknown)))
    if problems:
        raise InputError(dict.fromkeys(problems))
