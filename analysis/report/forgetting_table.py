"""What a source forgets as people read it: for the page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.report.shown_table import MOST_ROWS, ShownTable, minus


def forgetting_table(forgetting: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """The table of the page, None where it was not measured."""
    if forgetting.empty:
        return None
    heads = ["source", "target", "finetuned on", "loss before", "after", "rise", "seeds"]
    rows = [
        [
            f"{row['source']} · {row['model']}" if several_models else str(row["source"]),
            str(row["target"]),
            str(row["size"]),
            f"{row['before_loss']:.4f}",
            f"{row['loss']:.4f}",
            minus(rise_with_interval(row)),
            str(row["num_seeds"]),
        ]
        for row in forgetting.head(MOST_ROWS).to_dict("records")
    ]
    more = max(0, len(forgetting) - MOST_ROWS)
    numeric = [False, False, False, True, True, True, True]
    return ShownTable(
        "loss on the source's test split, nats per byte",
        heads,
        numeric,
        rows,
        more,
        "forgetting.csv",
    )


def rise_with_interval(row: Mapping[Any, Any]) -> str:
    """ "+0.213 [+0.180, +0.247]", without an interval where there is one seed; nought has no
    sign."""
    if pd.isna(row["low"]):
        return _signed(row["rise"])
    return f"{_signed(row['rise'])} [{_signed(row['low'])}, {_signed(row['high'])}]"


def _signed(rise: float) -> str:
    text = f"{rise:+.3f}"
    return "0.000" if float(text) == 0 else text
