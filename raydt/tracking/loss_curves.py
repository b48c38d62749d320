"""Somebody's validation curves beside their table of losses: `bytes_seen, loss` rows of its cells.

A row names its cell by the columns that the table of losses has (either form), and says how many
bytes the cell had seen, repeats included, and what its validation loss was then. In the store they
are the history of `val/loss`, as of cells that raydt trained, so what reads curves reads these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from raydt.errors import InputError, Problem, bad
from raydt.tracking.loss_columns import Declared, listed
from raydt.tracking.loss_row import LossRow
from raydt.tracking.loss_table import LossTable, read_lines

FEWEST_EVALUATIONS = 2  # of trained weights: one is a point, and no curve


def with_curves(
    table: LossTable, path: Path, size_words: Sequence[str] = (), declared: Declared | None = None
) -> LossTable:
    """The table, its rows with the curves of a file.

    `size_words` and `declared` are those of the table; bytes are counted as its sizes are, so with
    --bytes-per-token as tokens. `InputError` with every bad row and its line, and with every curve
    whose cell the table does not have.
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
        raise InputError(problems)
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
            f"{len(short)} curves have one evaluation of trained weights, which is a point and no "
            f"curve: {listed(short)}"
        )
    if num_empty:
        found.append(f"{path.name}: {num_empty} rows without a loss are no evaluations")
    if passed_over:
        found.append(f"{path.name}: columns that are not read: {listed(passed_over)}")
    return found
