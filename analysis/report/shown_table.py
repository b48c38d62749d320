"""Any table as shown on the page: headers and texts, and the first rows of a long one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pandas as pd

from analysis.wording import whole_bytes

MOST_ROWS = 40  # of a table on the page; its file has them all
_HEADS = {
    "finetune_bytes": "D_F",
    "num_pairs": "pairs",
    "num_bounds": "bounds",
    "num_cells": "cells",
    "num_targets": "targets",
    "num_worse": "worse",
    "num_surely_worse": "surely worse",
    "num_surely_better": "surely better",
    "share_source": "source",
    "share_target": "target",
    "share_rest": "pair and noise",
    "p_source": "p of source",
    "p_source_ranks": "p, ranks",
    "sd_between_sources": "sd between sources",
    "transferred_bytes": "D_T",
    "transferred_there_bytes": "D_T one→other",
    "transferred_back_bytes": "D_T other→one",
    "there": "one→other",
    "back": "other→one",
    "nearest_bytes": "D_T nearest",
    "farthest_bytes": "D_T farthest",
    "mean_transferred_bytes": "mean D_T",
    "transferred_low_bytes": "low",
    "transferred_high_bytes": "high",
    "unseen_share": "unseen bytes",
    "by_accuracy": "D_T by accuracy",
    "by_loss": "D_T by loss",
}
_PERCENT = ("share_source", "share_target", "share_rest", "agnostic_share", "unseen_share")


def minus(text: str) -> str:
    """With true minus signs before numbers; hyphens within names stay."""
    return re.sub(r"(?<!\w)-(?=[\d.])", "−", text)


@dataclass(frozen=True)
class ShownTable:
    """numeric: which columns are numbers; more: how many rows are left out; file: has them all."""

    title: str
    heads: list[str]
    numeric: list[bool]
    rows: list[list[str]]
    more: int
    file: str


def shown_table(table: pd.DataFrame, title: str, file: str) -> ShownTable:
    """Any table as the page shows it."""
    columns = [name for name in table.columns if not table[name].isna().all()]
    if {"size", "finetune_bytes"} <= set(columns):  # redundant: the label says the same as D_F
        columns.remove("finetune_bytes")
    shown = table[columns].head(MOST_ROWS)
    return ShownTable(
        title=title,
        heads=[_HEADS.get(name, name.replace("_", " ")) for name in columns],
        numeric=[
            pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype != bool
            for name in columns
        ],
        rows=[
            [_text(name, value) for name, value in zip(columns, row, strict=True)]
            for row in shown.itertuples(index=False, name=None)
        ],
        more=len(table) - len(shown),
        file=file,
    )


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or math.isnan(value):
        return "–"
    if name.endswith("_bytes"):
        return minus(whole_bytes(value))
    if name in _PERCENT:
        return minus(f"{value:.0%}")
    if isinstance(value, int):
        return str(value)
    return minus(f"{value:.3g}")
