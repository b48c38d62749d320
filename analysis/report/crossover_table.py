"""Crossovers as rows of text, ready for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.report.shown_table import MOST_ROWS, ShownTable
from analysis.wording import whole_bytes

_MARKS = {"inside": "", "below": "< ", "above": "> "}


def crossover_table(crossings: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """The table of the page, None if there are no crossovers."""
    if crossings.empty:
        return None
    heads = ["target", "size", "source"]
    heads += ["scratch ahead from", "bytes of pretrain", "pretrain pays off from", "FLOPs of both"]
    rows = []
    ordered = crossings.sort_values(["model", "target", "finetune_bytes", "source"])
    for row in ordered.head(MOST_ROWS).to_dict("records"):
        target = f"{row['target']} · {row['model']}" if several_models else str(row["target"])
        spent = row["pretrain_bytes"]
        rows.append(
            [
                target,
                str(row["size"]),
                str(row["source"]),
                _place(row, "scratch_ahead"),
                "–" if pd.isna(spent) else whole_bytes(spent),
                _place(row, "pretrain_paid"),
                f"{_flops(row, 'scratch_ahead')}, {_flops(row, 'pretrain_paid')}",
            ]
        )
    more = max(0, len(crossings) - MOST_ROWS)
    numeric = [False, False, False, True, True, True, True]
    return ShownTable("crossovers", heads, numeric, rows, more, "crossovers.csv")


def _place(row: Mapping[Any, Any], name: str) -> str:
    if pd.isna(row[f"{name}_bytes"]):
        return "–"
    text = _MARKS[row[f"{name}_range"]] + whole_bytes(row[f"{name}_bytes"])
    if pd.isna(row[f"{name}_low_bytes"]):
        return text
    ends = [_MARKS[row[f"{name}_{e}_range"]].strip() for e in ("low", "high")]
    if ends[0] == ends[1] != "":
        return text  # the whole interval is off the same end
    low, high = (whole_bytes(row[f"{name}_{e}_bytes"]) for e in ("low", "high"))
    return f"{text} [{ends[0]}{low}, {ends[1]}{high}]"


def _flops(row: Mapping[Any, Any], name: str) -> str:
    if pd.isna(row[f"{name}_flops"]):
        return "–"
    return f"{_MARKS[row[f'{name}_range']]}{row[f'{name}_flops']:.1e}"
