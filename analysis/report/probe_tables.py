"""The results of minimal pairs as text: ladders of accuracy, and D_T by accuracy and by loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.probes import ALL_KINDS, Probes
from analysis.report.shown_table import ShownTable, minus, shown_table
from analysis.wording import interval, size_name, transferred
from raydt.tracking.schema import Stage

APART = "apart"


def by_accuracy(row: Mapping[Any, Any]) -> str:
    """D_T of a row of the table `probes`, with its interval."""
    return f"{transferred(row)} {interval(row)}".strip()


def by_loss(row: Mapping[Any, Any]) -> str:
    """The same by loss; "–" if there is none, as for a zeroshot that is worse than uniform."""
    if pd.isna(row["loss_transferred_bytes"]):
        return "–"
    of_loss = {name.removeprefix("loss_"): value for name, value in row.items() if "loss_" in name}
    return f"{transferred(of_loss)} {interval(of_loss)}".strip()


def scratch_accuracy(row: Mapping[Any, Any]) -> str:
    """The accuracy of the scratch rung of the same size; empty if there is none."""
    return "" if pd.isna(row["scratch_accuracy"]) else f"{row['scratch_accuracy']:.3f}"


def probe_tables(probes: Probes) -> list[ShownTable]:
    """The ladders of accuracies, D_T over all pairs, and by kind if there are several; none if no
    finetune was scored."""
    table = probes.table
    if table.empty:
        return []
    found = [
        shown_table(_ladders(probes.scores), "accuracy of scratch, by size", "probe_cells.csv"),
        shown_table(_side_by_side(table[table["kind"] == ALL_KINDS]), "all pairs", "probes.csv"),
    ]
    kinds = table[table["kind"] != ALL_KINDS]
    if len(kinds):
        found.append(shown_table(_side_by_side(kinds), "by kind of pair", "probes.csv"))
    return found


def _ladders(scores: pd.DataFrame) -> pd.DataFrame:
    scratch = scores[scores["stage"] == Stage.SCRATCH].sort_values("size_bytes")
    keys = ["model", "target", "kind", "num_pairs"]
    wide = scratch.pivot_table(
        index=keys, columns="size", values="accuracy", aggfunc="mean", sort=False
    )
    order = list(dict.fromkeys(scratch["size"]))
    texts = wide[order].map(lambda share: "–" if pd.isna(share) else f"{share:.3f}").reset_index()
    return _one_model(texts)


def _side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.to_dict("records")
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "target": table["target"],
            "finetuned on": [size_name(row) for row in rows],
            "source": table["source"],
            "kind": table["kind"],
            "accuracy": [f"{row['accuracy']:.3f}" for row in rows],
            "scratch": [scratch_accuracy(row) for row in rows],
            "by_accuracy": [minus(by_accuracy(row)) for row in rows],
            "by_loss": [minus(by_loss(row)) for row in rows],
            APART: [APART if row["apart"] else "" for row in rows],
        }
    )
    if set(shown["kind"]) == {ALL_KINDS}:
        shown = shown.drop(columns="kind")
    return _one_model(shown)


def _one_model(table: pd.DataFrame) -> pd.DataFrame:
    return table if table["model"].nunique() > 1 else table.drop(columns="model")
