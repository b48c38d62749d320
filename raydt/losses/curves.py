"""Validation curves for an imported table of losses: rows of `bytes_seen, loss` of its cells.

A row identifies its cell by the columns of the table of losses (in either form), and has the bytes
seen so far, including repeats, and the validation loss. In the store they become the history of
`val/loss`, as for cells that raydt trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from raydt.errors import InputError, Problem, bad
from raydt.losses.columns import Declared, listed
from raydt.losses.problem import grouped
from raydt.losses.row import LossRow
from raydt.losses.table import LossTable, read_lines

FEWEST_EVALUATIONS = 2  # of trained weights: a single one is a point, not a curve


def with_curves(
    table: LossTable, path: Path, size_words: Sequence[str] = (), declared: Declared | None = None
) -> LossTable:
    """The table with the curves of a file in its rows.

    `size_words` and `declared` are those of the table; bytes have the unit of its sizes, that is,
    tokens with --bytes-per-token. Raises `InputError` with every bad row and its line, and with
    every curve of a cell that is not in the table.
    """
    declared = declared or Declared({}, {})
    lines = read_lines(path, size_words, declared)
    if "bytes_seen" not in lines.columns:
        found = listed(lines.all_columns)
        raise bad(path.name, "a column bytes_seen, the bytes trained on so far", found)
    problems = list(lines.problems)
    points: dict[tuple[object, ...], list[tuple[int, float]]] = {}
    unknown: dict[tuple[object, ...], LossRow] = {}
    known = {row.key for row in table.rows}
    num_empty = 0
    for _, line in lines.each:
        row, seen = line.row(problems), line.bytes_seen(problems)
        if row is None or seen is None:
            continue
        if row.test_loss is None:
            num_empty += 1
        elif row.key not in known:
            unknown.setdefault(row.key, row)
        else:
            points.setdefault(row.key, []).append((seen, row.test_loss))
    problems += [
        Problem(f"{path.name}: curve of {row.cell_id}", "a cell of the table of losses", "none")
        for row in unknown.values()
    ]
    if problems:
        raise InputError(grouped(problems))
    curves = {key: tuple(sorted(set(mine))) for key, mine in points.items()}
    rows = tuple(replace(row, curve=curves.get(row.key, ())) for row in table.rows)
    return replace(
        table, rows=rows, notes=(*table.notes, *_notes(path, rows, num_empty, lines.passed_over))
    )


def _notes(
    path: Path, rows: Sequence[LossRow], num_empty: int, passed_over: Sequence[str]
) -> list[str]:
    having = [row for row in rows if row.curve]
    total = sum(len(row.curve) for row in having)
    found = [f"{path.name}: {total} evaluations of {len(having)} of {len(rows)} cells"]
    short = [
        row.cell_id
        for row in having
        if len({seen for seen, _ in row.curve if seen > 0}) < FEWEST_EVALUATIONS
    ]
    if short:
        found.append(
            f"{len(short)} curves have only one evaluation of trained weights, which is a point "
            f"and "
            f"not a curve: {listed(short)}"
        )
    if num_empty:
        found.append(f"{path.name}: {num_empty} rows have no loss and were ignored")
    if passed_over:
        found.append(f"{path.name}: ignored columns: {listed(passed_over)}")
    return found
