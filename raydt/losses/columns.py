"""The columns of a table of losses: by their names, by `--column`, and values for all rows by
`--set`.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raydt.errors import InputError, Problem
from raydt.losses.file import LossFile
from raydt.losses.line import METRICS, NOT_READ
from raydt.losses.units import LossUnit, unit_of

_AUTHORS = ("init_language", "target", "model_size", "data_size", "loss")
SYNONYMS = {"loss": "test_loss", "loss_stderr": "test_loss_stderr"}
_CELL = "stage source target size size_bytes seed model".split()
_END = "status reason stopped precision test_loss".split()
_OWN = (*_CELL, *_END, *METRICS)
# Columns of cells.csv that are not read: ids of its own store, and values derived from the loss.
_PASSED_OVER = ("cell_id", "run_id", "above_uniform", *NOT_READ)
KNOWN = frozenset((*_AUTHORS, *_OWN, *SYNONYMS))
_SHOWN_NAMES = 30
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Declared:
    """Declarations for a table: names of columns, and values for which it has no column."""

    columns: Mapping[str, str]  # ours -> the table's
    constants: Mapping[str, str]  # ours -> the value in every row
    unit: LossUnit = field(default_factory=LossUnit)
    unit_is_given: bool = True  # by the user; if not, the loss column's name must agree


def read_declared(
    columns: Sequence[str],
    constants: Sequence[str],
    unit: LossUnit | None = None,
    *,
    unit_is_given: bool = True,
) -> Declared:
    """Parse words such as loss=scaling/global_loss and target=de; `InputError` with every word that
    does not name a column of raydt's."""
    problems: list[Problem] = []
    found: list[dict[str, str]] = []
    for option, words in (("--column", columns), ("--set", constants)):
        pairs: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            name = name.strip().lower()
            if not equals or not value:
                problems.append(Problem(option, "NAME=VALUE, such as loss=eval/loss", repr(word)))
            elif name not in KNOWN:
                known = ", ".join(sorted(KNOWN))
                problems.append(Problem(option, f"one of {known} before the =", repr(word)))
            elif name in pairs:
                problems.append(Problem(f"{option} {name}", "it once", repr(word)))
            else:
                pairs[name] = value
        found.append(pairs)
    both = found[0].keys() & found[1].keys()
    problems += [
        Problem(f"--set {name}", "it without --column for the same name", "both")
        for name in sorted(both)
    ]
    if problems:
        raise InputError(problems)
    return Declared(found[0], found[1], unit or LossUnit(), unit_is_given)


def find_columns(
    path: Path, file: LossFile, declared: Declared
) -> tuple[dict[str, str], list[str]]:
    """The columns by our names -> the table's names, and the columns that are not read."""
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for ours, theirs in declared.columns.items():
        if theirs not in file.columns:
            close = difflib.get_close_matches(theirs, file.columns, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            there = listed(file.columns)
            problems.append(
                Problem(f"--column {ours}", f"a column of {path.name}: {there}{hint}", theirs)
            )
        names[ours] = theirs
    mapped = set(names.values())
    passed_over: list[str] = []
    for theirs in file.columns:
        ours = theirs.lower().replace(" ", "_").replace("-", "_")
        if theirs in mapped or not theirs:
            continue
        if ours in declared.columns or ours in declared.constants:
            passed_over.append(theirs)
        elif ours in KNOWN:
            if SYNONYMS.get(ours, ours) in {SYNONYMS.get(name, name) for name in names}:
                problems.append(Problem(path.name, f"one column {ours}", "2"))
            names[ours] = theirs
        elif ours not in _PASSED_OVER:
            passed_over.append(theirs)
    for name in passed_over:
        meant = difflib.get_close_matches(name.lower(), KNOWN - names.keys(), n=1, cutoff=0.8)
        if meant and not declared.columns:
            requirement = f"a known column (did you mean {meant[0]}?)"
            problems.append(Problem(path.name, requirement, name[:_SHOWN_CHARACTERS]))
    if problems:
        raise InputError(dict.fromkeys(problems))
    return names, passed_over


def check_unit(path: Path, names: Mapping[str, str], declared: Declared) -> None:
    """Check that the name of the loss column speaks of no other unit than the default, which would
    make every loss wrong and none impossible."""
    found = (theirs for ours, theirs in names.items() if SYNONYMS.get(ours, ours) == "test_loss")
    column = next(found, None)
    named = None if column is None else unit_of(column)
    if not declared.unit_is_given and named not in (None, declared.unit.unit):
        requirement = (
            f"--unit {named}, by the name of its column of losses (or --unit {declared.unit.unit}, "
            "if they are that)"
        )
        raise InputError([Problem(path.name, requirement, f"{column} and no --unit")])


def listed(names: Sequence[str]) -> str:
    """Names for a message; a long list is shortened."""
    shown = [name[:_SHOWN_CHARACTERS] or "(no name)" for name in names[:_SHOWN_NAMES]]
    left = len(names) - len(shown)
    return ", ".join([*shown, *([f"{left} more"] if left else [])])


def check_columns(
    path: Path, file: LossFile, names: Collection[str], is_authors: bool, is_mapped: bool
) -> None:
    """Check that all needed columns exist or are declared."""
    problems = []
    there = listed(file.columns)
    having = {SYNONYMS.get(name, name) for name in names}
    hint = "" if is_mapped else "; --column NAME=COLUMN maps others"
    if is_authors:
        required = {SYNONYMS.get(name, name) for name in _AUTHORS}
        form = "init_language, target, model_size, data_size, loss"
    else:
        # Without a stage, the source and the size say it.
        required = {"source" if "source" in having else "stage", "target", "test_loss"}
        form = "source or stage, target, size or size_bytes, loss"
        if not {"size", "size_bytes"} & having:
            requirement = "a column size or size_bytes (or --set size=VALUE)"
            problems.append(Problem(path.name, requirement, there))
    if file.separator:
        there += f" (separated by {file.separator})"
    for name in sorted(required - having):
        shown = "loss" if name == "test_loss" else name
        option = f"; --set {shown}=VALUE sets it for all rows"
        if shown == "loss":
            option = _meant_losses(file.columns)
        if shown == "stage":
            shown = "source, which is scratch where nothing was pretrained, or stage"
        requirement = f"a column {shown} (of {form}{hint}{option})"
        problems.append(Problem(path.name, requirement, there))
    if problems:
        raise InputError(dict.fromkeys(problems))


def _meant_losses(columns: Sequence[str]) -> str:
    """The options that read the column that, by its name, has the losses; empty if none has."""
    for column in columns:
        if unit := unit_of(column):
            return f"; --column {shlex.quote(f'loss={column}')} --unit {unit}"
    close = [column for column in columns if "loss" in column.lower()]
    return f"; --column {shlex.quote(f'loss={close[0]}')}" if close else ""
