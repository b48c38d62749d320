"""Which cells a sweep should have, and which of them are not done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from raydt.tracking.schema import PLAN_FIELDS, Status

EXPECTED_TYPES = {
    "cell_id": "str",
    "stage": "str",
    "source": "str",
    "target": "str",
    "size": "str",
    "size_bytes": "Int64",
    "seed": "Int64",
    "model": "str",
    "parent_cell_id": "str",
    "fingerprint": "str",
}
NOT_DONE_COLUMNS = [*PLAN_FIELDS, "status", "reason"]
# The identity of a cell: two labels of equal bytes are one size, and one cell.
KEY_COLUMNS = ("stage", "source", "target", "size_bytes", "seed", "model")
CellKey = tuple[object, ...]


def cell_key(row: Mapping[Any, Any]) -> CellKey:
    """The identity of the cell in a row of any table: the values of `KEY_COLUMNS`, None
    if missing."""
    return tuple([None if _is_missing(row[name]) else row[name] for name in KEY_COLUMNS])


def _is_missing(value: Any) -> bool:
    """`pd.isna` of one value, which takes ten times as long, of six for each of ten thousand."""
    return value is None or value is pd.NA or value != value


@dataclass(frozen=True)
class PlannedCell:
    """A cell of plan.json, with the fields of `PLAN_FIELDS`."""

    cell_id: str
    stage: str
    source: str | None
    target: str | None
    size: str
    size_bytes: int
    seed: int
    model: str
    parent_cell_id: str | None
    fingerprint: str | None


def planned_cells(plan: list[PlannedCell]) -> pd.DataFrame:
    """The cells of plan.json as a typed table with the columns of `PLAN_FIELDS`."""
    return pd.DataFrame(map(vars, plan), columns=list(PLAN_FIELDS)).astype(EXPECTED_TYPES)


def inferred_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The full cross product of what was observed: the probable plan of a sweep without plan.json.

    Per model and stage: sources x targets x sizes x seeds. A source is crossed with itself as a
    target only if such a cell was observed. Cells that exist keep their id.
    """
    rows: list[dict[str, object]] = []
    for (model, stage), seen in cells.groupby(["model", "stage"], sort=True):
        seeds = sorted(cells.loc[cells["model"] == model, "seed"].unique())
        sources = sorted(seen["source"].dropna().unique()) or [None]
        targets = sorted(seen["target"].dropna().unique()) or [None]
        rungs = seen.groupby("size_bytes")["size"].first()
        onto_itself = bool((seen["source"] == seen["target"]).fillna(False).any())
        for source, target, size_bytes, seed in product(sources, targets, rungs.index, seeds):
            if source is not None and source == target and not onto_itself:
                continue
            pair = "-".join(name for name in (source, target) if name is not None)
            size = str(rungs[size_bytes])
            rows.append(
                {
                    "cell_id": f"{stage}/{pair}/{size}/s{seed}",
                    "stage": stage,
                    "source": source,
                    "target": target,
                    "size": size,
                    "size_bytes": size_bytes,
                    "seed": seed,
                    "model": model,
                    "parent_cell_id": None,
                    "fingerprint": None,
                }
            )
    expected = pd.DataFrame(rows, columns=list(PLAN_FIELDS)).astype(EXPECTED_TYPES)
    known = {cell_key(row): row["cell_id"] for row in cells.to_dict("records")}
    expected["cell_id"] = [
        known.get(cell_key(row), row["cell_id"]) for row in expected.to_dict("records")
    ]
    return expected


def not_done(expected: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Expected cells that are not done, with status and reason; columns `NOT_DONE_COLUMNS`.

    A cell without a run is `blocked` if an ancestor failed, diverged or is blocked, otherwise
    `waiting`.
    """
    by_key = {cell_key(row): row for row in cells.to_dict("records")}
    planned = expected.to_dict("records")
    runs = {row["cell_id"]: by_key[cell_key(row)] for row in planned if cell_key(row) in by_key}
    parents = dict(zip(expected["cell_id"], expected["parent_cell_id"], strict=True))
    rows = []
    for row in planned:
        run = runs.get(row["cell_id"])
        if run is not None:
            status, reason = run["status"], run["reason"]
        else:
            lost = _lost_ancestor(row["cell_id"], parents, runs)
            status = Status.BLOCKED if lost else Status.WAITING
            reason = f"{lost} is not done" if lost else "no run in the store"
        if status != Status.DONE:
            rows.append({**row, "status": str(status), "reason": reason})
    types = {**EXPECTED_TYPES, "status": "str", "reason": "str"}
    return pd.DataFrame(rows, columns=NOT_DONE_COLUMNS).astype(types)


def _lost_ancestor(
    cell_id: str, parents: Mapping[str, object], runs: Mapping[str, Mapping[Any, Any]]
) -> str | None:
    seen: set[str] = set()
    parent = parents.get(cell_id)
    while isinstance(parent, str) and parent not in seen:
        seen.add(parent)
        run = runs.get(parent)
        if run is not None and run["status"] in (Status.FAILED, Status.DIVERGED):
            return parent
        parent = parents.get(parent)
    return None
