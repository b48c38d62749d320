"""The tidy table: one validated row per cell of a sweep."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pandas as pd

from analysis.store.plan import CellKey, cell_key, inferred_cells, not_done, planned_cells
from analysis.store.read import SweepRuns
from analysis.store.run import StoredRun
from analysis.wording import counted, listed
from raydt.errors import Problem
from raydt.tracking import schema
from raydt.tracking.schema import Stage, Status, Stop

# Losses in nats per byte, sizes in bytes. Missing text is NaN, as in pandas.
COLUMNS = {
    "cell_id": "str",
    "stage": "str",
    "source": "str",
    "target": "str",
    "size": "str",
    "size_bytes": "int64",
    "seed": "int64",
    "model": "str",
    "status": "str",
    "reason": "str",
    "stopped": "str",
    "precision": "str",
    "test_loss": "float64",
    "test_loss_stderr": "float64",
    "best_val_loss": "float64",
    "best_bytes_seen": "float64",
    "bytes_seen": "float64",
    "seconds": "float64",
    "unfinished": "float64",  # decrease of log loss after another doubling of bytes
    "unseen_share": "float64",  # share of the bytes of `test` that the source never had
    # Of a finetune, on its source's test split; and how much more than its pretrain's.
    "source_loss": "float64",
    "source_loss_rise": "float64",
    "added_for": "str",  # why a refinement added it, NaN for declared cells
    "run_id": "str",
}
_METRICS = {name: key for name, key in schema.FINAL_METRICS.items() if name not in schema.BITS}
T = TypeVar("T")

# MLflow's SQL stores keep an infinite metric as the largest double.
_STORED_INFINITY = sys.float_info.max
_HAS_SOURCE = {Stage.PRETRAIN, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT}
_HAS_TARGET = {Stage.SCRATCH, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT}


@dataclass(frozen=True)
class CellTable:
    """The cells of a sweep, and everything about them that was questionable."""

    cells: pd.DataFrame  # columns `COLUMNS`, sorted by cell id
    not_done: pd.DataFrame  # columns of `analysis.store.plan.NOT_DONE_COLUMNS`
    num_expected: int
    inferred: bool  # whether the expected cells were inferred because plan.json is missing
    problems: list[Problem]  # runs that were left out, or are implausible
    resolved: list[str]  # sentences: which of several runs of a cell was used


def tidy(sweep: SweepRuns) -> CellTable:
    """The table of a sweep.

    A cell is its stage, source, target, true bytes, seed and model; two labels of equal bytes are
    one cell. If the plan has a cell's fingerprint, only runs with that fingerprint count: others
    come from a sweep of the same name with another protocol, data or code, and are left out and
    reported. Of several runs of a cell, a finished one is preferred, then the one that ended last.
    A run that cannot be read (no cell id, a size that is not a number) is left out and reported; a
    cell tagged done without a usable test loss is kept as failed and reported.
    """
    problems: list[Problem] = []
    found: list[_Found] = []
    for run in sweep.cells:
        row = _row(run, problems)
        if row is not None:
            found.append(_Found(row, cell_key(vars(row)), run))
    expected = None if sweep.plan is None else planned_cells(sweep.plan)
    if expected is not None:
        found = _of_the_plan(found, expected, problems)

    taken: dict[CellKey, _Found] = {}
    others: dict[CellKey, int] = {}
    for one in sorted(found, key=_Found.precedence, reverse=True):
        if one.key in taken:
            others[one.key] = others.get(one.key, 0) + 1
        else:
            taken[one.key] = one
    if expected is not None:
        # A cell has the plan's name for it, whatever label its run has.
        names = {cell_key(row): row["cell_id"] for row in expected.to_dict("records")}
        for key, one in taken.items():
            named = replace(one.row, cell_id=names.get(key, one.row.cell_id))
            taken[key] = replace(one, row=named)
    resolved = sorted(
        f"{taken[key].row.cell_id} has {count + 1} runs; taken: {taken[key].row.run_id} "
        f"({taken[key].row.status})."
        for key, count in others.items()
    )
    ordered = sorted((one.row for one in taken.values()), key=lambda row: row.cell_id)
    cells = pd.DataFrame(map(vars, ordered), columns=list(COLUMNS)).astype(COLUMNS)
    inferred = expected is None
    if expected is None:
        expected = inferred_cells(cells)
    return CellTable(cells, not_done(expected, cells), len(expected), inferred, problems, resolved)


@dataclass(frozen=True)
class _Row:
    """A row of the table, with the fields of `COLUMNS`."""

    cell_id: str
    stage: str
    source: str | None
    target: str | None
    size: str
    size_bytes: int
    seed: int
    model: str
    status: str
    reason: str | None
    stopped: str | None
    precision: str | None
    test_loss: float
    test_loss_stderr: float
    best_val_loss: float
    best_bytes_seen: float
    bytes_seen: float
    seconds: float
    unfinished: float
    unseen_share: float
    source_loss: float
    source_loss_rise: float
    added_for: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A run that could be read."""

    row: _Row
    key: CellKey
    run: StoredRun

    def precedence(self) -> tuple[bool, int, str]:
        """The largest is used. A run that has not ended counts as the latest."""
        ended = self.run.end_time_ms if self.run.end_time_ms is not None else 2**62
        return (self.row.status == Status.DONE, int(ended), self.run.run_id)


def _of_the_plan(
    found: list[_Found], expected: pd.DataFrame, problems: list[Problem]
) -> list[_Found]:
    """The runs that belong to the plan; the others are listed in `problems`.

    A plan of an earlier version has no fingerprints: then runs of cells outside it count too.
    """
    prints = {cell_key(row): row["fingerprint"] for row in expected.to_dict("records")}
    with_prints = any(isinstance(value, str) for value in prints.values())
    kept: list[_Found] = []
    unplanned: list[str] = []
    foreign: list[str] = []
    for one in found:
        wanted = prints.get(one.key)
        if one.key not in prints:
            unplanned.append(one.row.cell_id)
            if with_prints:
                continue
        elif isinstance(wanted, str) and one.run.tags.get(schema.TAG_FINGERPRINT) != wanted:
            foreign.append(one.row.cell_id)
            continue
        kept.append(one)
    if unplanned and with_prints:
        requirement = (
            "only cells of the newest launch's plan (the others are left out; --every-launch reads "
            "the plans of all)"
        )
        problems.append(_these("cells with a run", requirement, unplanned))
    elif unplanned:
        problems += [
            Problem(f"cell {cell_id}", "a cell of the plan (it is used all the same)", "none")
            for cell_id in sorted(set(unplanned))
        ]
    if foreign:
        requirement = (
            "the fingerprint of the newest launch's plan (those with another were made from other "
            "data or under another protocol, and are left out)"
        )
        problems.append(_these("runs of this name", requirement, foreign))
    return kept


def _these(what: str, requirement: str, cell_ids: list[str]) -> Problem:
    found = f"{counted(len(cell_ids), 'run')}: {listed(sorted(set(cell_ids)))}"
    return Problem(what, requirement, found)


def _row(run: StoredRun, problems: list[Problem]) -> _Row | None:
    params, tags, metrics = run.params, run.tags, run.metrics
    run_id = run.run_id
    found: list[Problem] = []
    cell_id = tags.get(schema.TAG_CELL_ID)
    what = f"run {run_id}" if cell_id is None else f"cell {cell_id} (run {run_id})"
    if cell_id is None:
        found.append(Problem(what, f"a tag {schema.TAG_CELL_ID}", "none"))
    stage = _parsed(what, schema.PARAM_STAGE, params, Stage, found)
    status = _parsed(what, schema.TAG_STATUS, tags, Status, found)
    size_bytes = _parsed(what, schema.PARAM_SIZE_BYTES, params, _count, found)
    seed = _parsed(what, schema.PARAM_SEED, params, _count, found)
    for name, having in ((schema.PARAM_SOURCE, _HAS_SOURCE), (schema.PARAM_TARGET, _HAS_TARGET)):
        if stage in having and not params.get(name):
            found.append(Problem(what, f"a param {name}", "none"))
    problems += found
    if found:
        return None
    # What is None here is listed in `found`.
    assert cell_id is not None
    assert stage is not None
    assert status is not None
    assert size_bytes is not None
    assert seed is not None
    reason, stopped = tags.get(schema.TAG_REASON), tags.get(schema.TAG_STOPPED)
    if stopped is not None and stopped not in set(Stop):
        problems.append(Problem(what, f"{schema.TAG_STOPPED} of {', '.join(Stop)}", repr(stopped)))
    values = {name: metrics.get(metric, math.nan) for name, metric in _METRICS.items()}
    loss = values["test_loss"]
    if status is Status.DONE and stage is not Stage.PRETRAIN and not 0 < loss < _STORED_INFINITY:
        shown = "none" if schema.METRIC_TEST_LOSS not in metrics else str(loss)
        requirement = f"a positive {schema.METRIC_TEST_LOSS} in a cell that is done"
        problems.append(Problem(what, requirement, shown))
        status, reason = Status.FAILED, f"is tagged done but {schema.METRIC_TEST_LOSS} is {shown}"
    return _Row(
        cell_id=cell_id,
        stage=str(stage),
        source=params.get(schema.PARAM_SOURCE) if stage in _HAS_SOURCE else None,
        target=params.get(schema.PARAM_TARGET) if stage in _HAS_TARGET else None,
        size=params.get(schema.PARAM_SIZE) or str(size_bytes),
        size_bytes=size_bytes,
        seed=seed,
        model=params.get(schema.PARAM_MODEL) or "model",
        status=str(status),
        reason=reason,
        stopped=stopped,
        precision=tags.get(schema.TAG_PRECISION),
        **values,
        added_for=tags.get(schema.TAG_ADDED_FOR),
        run_id=run_id,
    )


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


def _parsed(
    what: str, name: str, texts: dict[str, str], parse: Callable[[str], T], found: list[Problem]
) -> T | None:
    text = texts.get(name)
    try:
        if text is not None:
            return parse(text)
    except ValueError:
        found.append(Problem(what, f"{name} that can be read", repr(text)))
        return None
    found.append(Problem(what, f"a value of {name}", "none"))
    return None
