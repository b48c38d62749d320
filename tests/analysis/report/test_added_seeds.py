"""How many seeds a refinement gave each cell, and why, as the report has it."""

from __future__ import annotations

import pandas as pd

from analysis.report.added_seeds import added_seeds
from analysis.report.shown_table import shown_table


def row(seed: int, added_for: str | None, status: str = "done") -> dict[str, object]:
    facts = {"model": "nano", "stage": "scratch", "source": None, "target": "alba", "size": "8k"}
    return {**facts, "size_bytes": 8000, "seed": seed, "status": status, "added_for": added_for}


def test_a_row_for_each_cell_that_got_seeds() -> None:
    rows = [row(0, None), row(1, None), row(2, "a"), row(3, "b"), row(4, "c", "failed")]
    other = [{**row(0, None), "target": "brio"}]
    found = added_seeds(pd.DataFrame([*rows, *other]))
    assert len(found) == 1
    assert found.iloc[0][["target", "seeds", "added", "why"]].tolist() == [
        "alba",
        4,
        2,
        "a, then b",
    ]
    shown = shown_table(found.fillna("–"), "by cell", "seeds.csv")
    assert shown.heads[-1] == "why"
    assert shown.rows[0][-1] == "a, then b"


def test_nothing_where_every_cell_was_declared() -> None:
    assert added_seeds(pd.DataFrame([row(0, None), row(1, None)])).empty
