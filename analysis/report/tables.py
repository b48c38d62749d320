"""The tables of the report as rows of texts, ready for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.laws.one_law import BOTH
from analysis.report.shown_table import ShownTable, minus, shown_table
from analysis.wording import if_trained_on, interval, size_name, transferred, whole_bytes


@dataclass(frozen=True)
class TransferRow:
    """A row of the table of D_T, as text; first: the first of its size; leads: shown in bold."""

    first: bool
    leads: bool
    size: str
    source: str
    transferred: str
    interval: str
    if_trained_on: str
    effective: str
    loss: str
    scratch: str
    seeds: int


@dataclass(frozen=True)
class TransferPart:
    """The sources of one target (and model)."""

    name: str
    rows: list[TransferRow]


def transfer(effective: pd.DataFrame, several: bool) -> list[TransferPart]:
    """One part per model and target: its name and its rows."""
    parts = []
    for (model, target), mine in effective.groupby(["model", "target"], sort=True):
        rows, last = [], None
        for row in mine.sort_values(["finetune_bytes", "loss"]).to_dict("records"):
            first = row["finetune_bytes"] != last
            last = row["finetune_bytes"]
            mark = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
            rows.append(
                TransferRow(
                    first=first,
                    leads=row["leads"],
                    size=size_name(row) if first else "",
                    source=row["source"],
                    transferred=minus(transferred(row)),
                    interval=minus(interval(row)),
                    if_trained_on=minus(if_trained_on(row)),
                    effective=mark + whole_bytes(row["effective_bytes"]),
                    loss=f"{row['loss']:.4f}",
                    scratch=_scratch(row),
                    seeds=row["num_seeds"],
                )
            )
        parts.append(TransferPart(f"{target} · {model}" if several else target, rows))
    return parts


def _scratch(row: Mapping[Any, Any]) -> str:
    read, observed = row["scratch_loss"], row["scratch_loss_observed"]
    if math.isnan(read):
        return "–"
    if math.isnan(observed) or math.isclose(read, observed, rel_tol=1e-9):
        return f"{read:.4f}"
    return f"{read:.4f} (observed {observed:.4f})"


@dataclass(frozen=True)
class LadderLaw:
    """A row of the table of ladder laws, as text."""

    name: str
    rungs: int
    E: str
    B: str
    beta: str
    rmse: str
    note: str


def ladder_law(row: Mapping[Any, Any], several: bool) -> LadderLaw:
    """From a row of `analysis.laws.ladders.LAW_COLUMNS`."""
    return LadderLaw(
        name=f"{row['target']} · {row['model']}" if several else row["target"],
        rungs=row["num_rungs"],
        E="–" if row["irreducible"] is False else _with_ends(row, "E"),
        B=_with_ends(row, "B"),
        beta=_with_ends(row, "beta"),
        rmse="–" if math.isnan(row["rmse_log"]) else f"{row['rmse_log']:.2%}",
        note=row["note"],
    )


@dataclass(frozen=True)
class LawOfTransfer:
    """A row of the table of transfer laws, as text."""

    level: str
    model: str
    source: str
    target: str
    k: str
    alpha: str
    beta: str
    points: str
    note: str


def transfer_law(row: Mapping[Any, Any]) -> LawOfTransfer:
    """From a row of `analysis.laws.transfer_table.TRANSFER_LAW_COLUMNS`."""
    return LawOfTransfer(
        level=row["level"],
        model=row["model"],
        source=row["source"] or "every source",
        target=row["target"] or "every target",
        k=minus(_with_ends(row, "k")),
        alpha=minus(_with_ends(row, "alpha")),
        beta=minus(_with_ends(row, "beta")),
        points=f"{row['num_points']} ({row['num_censored']} bounds)",
        note=row["note"],
    )


def _with_ends(row: Mapping[Any, Any], name: str) -> str:
    if pd.isna(row[name]):
        return "–"
    text = f"{row[name]:.3g}"
    if not pd.isna(row[f"{name}_low"]):
        text += f" [{row[f'{name}_low']:.3g}, {row[f'{name}_high']:.3g}]"
    return text


@dataclass(frozen=True)
class OneLaw:
    """Whether one law holds for all sources: one sentence per model, and the table of all tests."""

    sentences: list[str]
    tests: ShownTable


def one_law(tests: pd.DataFrame, several_models: bool) -> OneLaw | None:
    """From the table of `analysis.laws.one_law.ONE_LAW_COLUMNS`; None if it is empty."""
    if tests.empty:
        return None
    pooled = tests[tests["level"] == "pooled"]
    sentences = [
        _one_law_sentence(model if several_models else "", rows)
        for model, rows in pooled.groupby("model", sort=False)
    ]
    return OneLaw(sentences, shown_table(tests, "tests", "one_law.csv"))


def _one_law_sentence(model: str, rows: pd.DataFrame) -> str:
    of_model = f"{model}: " if model else ""
    both = rows[rows["tested"] == BOTH].iloc[0]
    if pd.isna(both["p_value"]):
        return f"{of_model}whether one law holds for all sources cannot be tested here: " + (
            both["note"] or "no permutation is informative"
        )
    each = ", ".join(
        f"the same {row['tested']}: p {row['p_value']:.2g}"
        for row in rows.to_dict("records")
        if row["tested"] != BOTH and not pd.isna(row["p_value"])
    )
    p = both["p_value"]
    if p < 0.05:
        verdict = f"One law does not hold for all sources (p {p:.2g})"
    elif both["least_p"] >= 0.05:
        verdict = (
            f"Too few languages to decide (p {p:.2g}; the smallest possible is "
            f"{both['least_p']:.2g})"
        )
    else:
        verdict = f"No evidence against one law for all sources (p {p:.2g})"
    return f"{of_model}{verdict}; {each}."


def estimator_spread(estimates: pd.DataFrame) -> pd.DataFrame:
    """D_T by estimator side by side, one row per model, target, size and source."""
    keys = [name for name in ("model", "target", "finetune_bytes", "source") if name in estimates]
    if {"size", "stage"} <= set(estimates):
        # `reference` has D_F in nominal bytes; a row is identified by the true ones, which are
        # first.
        group = ["model", "target", "source", "stage", "size"]
        true_bytes = estimates.groupby(group)["finetune_bytes"].transform("first")
        estimates = estimates.assign(finetune_bytes=true_bytes)
    texts = estimates.assign(text=[minus(transferred(row)) for row in estimates.to_dict("records")])
    order = list(dict.fromkeys(estimates["estimator"]))
    wide = texts.pivot_table(index=keys, columns="estimator", values="text", aggfunc="first")
    return wide.reindex(columns=order).fillna("–").reset_index()
