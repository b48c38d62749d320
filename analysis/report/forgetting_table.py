"""The table of forgetting, for the report and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.report.plain_table import fits, plain_table
from analysis.report.shown_table import MOST_ROWS, ShownTable, minus


def forgetting_table(forgetting: pd.DataFrame, several_models: bool) -> ShownTable | None:
    """The report's table; None if forgetting was not measured."""
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


def print_forgetting(forgetting: pd.DataFrame, out: Console) -> None:
    """Print a table for each model; nothing if forgetting was not measured."""
    several = forgetting["model"].nunique() > 1 if len(forgetting) else False
    for model, mine in forgetting.groupby("model", sort=True) if len(forgetting) else ():
        title = "What the source forgets: rise of the loss on its own test split, nats per byte"
        title += f" · {model}" if several else ""
        table = _wide(mine, title)
        out.print(table if fits(out, table) else _long(mine, title))
        out.print()


def _wide(mine: pd.DataFrame, title: str) -> Table:
    """A row per pair, a column per size."""
    table = plain_table(title)
    sizes = mine.sort_values("finetune_bytes")["size"].unique()
    for head in ("source", "before", "target", *(f"on {size}" for size in sizes)):
        table.add_column(head, no_wrap=True)
    for (source, target), rows in mine.groupby(["source", "target"], sort=True):
        rises = {row["size"]: rise_with_interval(row) for row in rows.to_dict("records")}
        before = f"{rows['before_loss'].mean():.4f}"
        texts = (str(source), before, str(target), *(rises.get(size, "-") for size in sizes))
        table.add_row(*map(Text, texts))
    return table


def _long(mine: pd.DataFrame, title: str) -> Table:
    """A row per source, target and size."""
    table = plain_table(title)
    for head in ("source", "before", "target"):
        table.add_column(head, overflow="fold")
    for head in ("on", "rise"):
        table.add_column(head, no_wrap=True)
    for row in mine.to_dict("records"):
        texts = (row["source"], f"{row['before_loss']:.4f}", row["target"], row["size"])
        table.add_row(*map(Text, texts), Text(rise_with_interval(row)))
    return table


def rise_with_interval(row: Mapping[Any, Any]) -> str:
    """For example "+0.213 [+0.180, +0.247]"; without an interval if there is only one seed. Zero
    has no sign."""
    if pd.isna(row["low"]):
        return _signed(row["rise"])
    return f"{_signed(row['rise'])} [{_signed(row['low'])}, {_signed(row['high'])}]"


def _signed(rise: float) -> str:
    text = f"{rise:+.3f}"
    return "0.000" if float(text) == 0 else text
