"""Pairs that were predicted and not measured, and how far to trust it, ready for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.report.shown_table import MOST_ROWS, ShownTable, minus
from analysis.wording import interval, transferred

MARK = "≈ "  # before every predicted number, wherever it stands


def predicted_text(row: Mapping[Any, Any]) -> str:
    """ "≈ +103k", "≈ > +96k"."""
    return MARK + transferred(row)


def predicted_table(predicted: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """The table of the page, None where no pair is predicted."""
    if predicted.empty:
        return None
    rows = []
    ordered = predicted.sort_values(["model", "target", "finetune_bytes", "source"])
    for row in ordered.head(MOST_ROWS).to_dict("records"):
        target = f"{row['target']} · {row['model']}" if several_models else str(row["target"])
        rows.append(
            [
                target,
                str(row["size"]),
                str(row["source"]),
                minus(predicted_text(row)),
                minus(interval(row)),
                str(row["num_pairs"]),
            ]
        )
    heads = ["target", "size", "source", "D_T, predicted", "interval", "pairs measured"]
    numeric = [False, False, False, True, False, True]
    more = max(0, len(predicted) - MOST_ROWS)
    return ShownTable("predicted, not measured", heads, numeric, rows, more, "predicted.csv")


def left_out_table(left_out: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """How well measured pairs predict each other, None where there are too few."""
    if left_out.empty:
        return None
    rows = [
        [
            *([str(row["model"])] if several_models else []),
            str(row["size"]),
            str(row["num_pairs"]),
            *(minus(f"{row[name]:.2f}") for name in _R2),
            f"{row['held']:.0%} of {row['confidence']:.0%}",
        ]
        for row in left_out.head(MOST_ROWS).to_dict("records")
    ]
    heads = ["model"] if several_models else []
    heads += ["size", "pairs", *_R2.values(), "intervals held"]
    numeric = [False] * (len(heads) - 6) + [True] * 6
    more = max(0, len(left_out) - MOST_ROWS)
    return ShownTable("each pair left out", heads, numeric, rows, more, "predicted_r2.csv")


_R2 = {
    "r2": "R², this model",
    "r2_sources": "mean of the source",
    "r2_targets": "mean of the target",
    "r2_two_way": "two-way",
}
