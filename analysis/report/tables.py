"""The tables of the report as rows of texts, ready for the page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.claims import commutative, explained, hurt, similar, specific
from analysis.claims.claim import ClaimAnswer
from analysis.laws.one_law import BOTH
from analysis.wording import (
    counted,
    if_trained_on,
    interval,
    size_name,
    transferred,
    whole_bytes,
)

MOST_ROWS = 40  # of a claim's table on the page; its file has them all
_ORDER = (similar.NAME, explained.NAME, commutative.NAME, specific.NAME, hurt.NAME)
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
}
_PERCENT = ("share_source", "share_target", "share_rest", "agnostic_share", "unseen_share")


def minus(text: str) -> str:
    """With true minus signs before numbers; hyphens within names stay."""
    return re.sub(r"(?<!\w)-(?=[\d.])", "−", text)


def transfer(effective: pd.DataFrame, several: bool) -> list[dict[str, Any]]:
    """A part for each model and target: its name and its rows."""
    parts = []
    for (model, target), mine in effective.groupby(["model", "target"], sort=True):
        rows, last = [], None
        for row in mine.sort_values(["finetune_bytes", "loss"]).to_dict("records"):
            first = row["finetune_bytes"] != last
            last = row["finetune_bytes"]
            mark = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
            rows.append(
                {
                    "first": first,
                    "leads": row["leads"],
                    "size": size_name(row) if first else "",
                    "source": row["source"],
                    "transferred": minus(transferred(row)),
                    "interval": minus(interval(row)),
                    "if_trained_on": minus(if_trained_on(row)),
                    "effective": mark + whole_bytes(row["effective_bytes"]),
                    "loss": f"{row['loss']:.4f}",
                    "scratch": _scratch(row),
                    "seeds": row["num_seeds"],
                }
            )
        parts.append({"name": f"{target} · {model}" if several else target, "rows": rows})
    return parts


def _scratch(row: Mapping[Any, Any]) -> str:
    read, observed = row["scratch_loss"], row["scratch_loss_observed"]
    if math.isnan(read):
        return "–"
    if math.isnan(observed) or math.isclose(read, observed, rel_tol=1e-9):
        return f"{read:.4f}"
    return f"{read:.4f} (observed {observed:.4f})"


def ladder_law(row: Mapping[Any, Any], several: bool) -> dict[str, object]:
    """A row of `analysis.laws.LAW_COLUMNS`."""
    return {
        "name": f"{row['target']} · {row['model']}" if several else row["target"],
        "rungs": row["num_rungs"],
        "E": "–" if row["irreducible"] is False else _with_ends(row, "E"),
        "B": _with_ends(row, "B"),
        "beta": _with_ends(row, "beta"),
        "rmse": "–" if math.isnan(row["rmse_log"]) else f"{row['rmse_log']:.2%}",
        "note": row["note"],
    }


def transfer_law(row: Mapping[Any, Any]) -> dict[str, object]:
    """A row of the table of transfer laws."""
    return {
        "level": row["level"],
        "model": row["model"],
        "source": row["source"] or "every source",
        "target": row["target"] or "every target",
        **{name: minus(_with_ends(row, name)) for name in ("k", "alpha")},
        "beta": minus(_with_ends(row, "beta")),
        "points": f"{row['num_points']} ({row['num_censored']} bounds)",
        "note": row["note"],
    }


def _with_ends(row: Mapping[Any, Any], name: str) -> str:
    if pd.isna(row[name]):
        return "–"
    text = f"{row[name]:.3g}"
    if not pd.isna(row[f"{name}_low"]):
        text += f" [{row[f'{name}_low']:.3g}, {row[f'{name}_high']:.3g}]"
    return text


def one_law(tests: pd.DataFrame, several_models: bool) -> dict[str, Any] | None:
    """Whether one law serves all sources: a sentence a model, and the table of all tests."""
    if tests.empty:
        return None
    pooled = tests[tests["level"] == "pooled"]
    return generic(tests, "tests") | {
        "file": "one_law.csv",
        "sentences": [
            _one_law_sentence(model if several_models else "", rows)
            for model, rows in pooled.groupby("model", sort=False)
        ],
    }


def _one_law_sentence(model: str, rows: pd.DataFrame) -> str:
    of_model = f"{model}: " if model else ""
    both = rows[rows["tested"] == BOTH].iloc[0]
    if pd.isna(both["p_value"]):
        return f"{of_model}whether one law serves all sources, these data cannot say: " + (
            both["note"] or "no permutation tells"
        )
    each = ", ".join(
        f"the same {row['tested']}: p {row['p_value']:.2g}"
        for row in rows.to_dict("records")
        if row["tested"] != BOTH and not pd.isna(row["p_value"])
    )
    p = both["p_value"]
    if p < 0.05:
        verdict = f"One law does not serve all sources (p {p:.2g})"
    elif both["least_p"] >= 0.05:
        verdict = (
            f"Too few languages to say (p {p:.2g}; the smallest possible {both['least_p']:.2g})"
        )
    else:
        verdict = f"Nothing speaks against one law for all sources (p {p:.2g})"
    return f"{of_model}{verdict}; {each}."


def claims(answers: list[ClaimAnswer]) -> list[dict[str, Any]]:
    """Claims in the order of the paper, each with the answer for every model."""
    several = len({one.model for one in answers}) > 1
    found = []
    for number, name in enumerate(_ORDER, 1):
        mine = [one for one in answers if one.name == name]
        if not mine:
            continue
        found.append(
            {
                "number": number,
                "question": mine[0].question,
                "answers": [
                    {
                        "model": one.model if several else "",
                        "verdict": str(one.verdict),
                        "sentence": minus(one.sentence),
                        "notes": one.notes,
                        "tested": one.tested,
                        "n": counted(one.n, one.unit.removesuffix("s"), one.unit),
                        "tables": _claim_tables(one),
                    }
                    for one in mine
                ],
            }
        )
    return found


def _claim_tables(answer: ClaimAnswer) -> list[dict[str, Any]]:
    shown = []
    for number, (title, table) in enumerate(answer.tables.items(), 1):
        if title == explained.PAIRS:
            continue  # a figure shows it, a file has it
        if title == explained.CORRELATES:
            part = generic(correlates(table), title)
        else:
            part = generic(table, title)
        part["file"] = f"claim_{answer.name}_{number}.csv"
        shown.append(part)
    return shown


def correlates(table: pd.DataFrame) -> pd.DataFrame:
    """Predictors down, tests across: "r (p)", p after Holm."""
    texts = [
        "–" if pd.isna(row["r"]) else f"{row['r']:+.2f} ({row['p_holm']:.2g})"
        for row in table.to_dict("records")
    ]
    effects = table["main_effects"].map({True: "beyond main effects", False: "raw"})
    tests = table["method"] + " " + table["measure"] + ", " + effects
    wide = pd.DataFrame({"predictor": table["predictor"], "test": tests, "text": texts}).pivot(
        index="predictor", columns="test", values="text"
    )
    return wide.reindex(columns=list(dict.fromkeys(tests))).fillna("–").reset_index()


def generic(table: pd.DataFrame, title: str) -> dict[str, Any]:
    """Any table: heads, rows of texts, which columns are numbers, how many rows are left out."""
    columns = [name for name in table.columns if not table[name].isna().all()]
    if "size" in columns:  # the label says it, and D_F beside it would say it twice
        columns.remove("finetune_bytes")
    shown = table[columns].head(MOST_ROWS)
    return {
        "title": title,
        "heads": [_HEADS.get(name, name.replace("_", " ")) for name in columns],
        "numeric": [
            pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype != bool
            for name in columns
        ],
        "rows": [
            [_text(name, value) for name, value in zip(columns, row, strict=True)]
            for row in shown.itertuples(index=False, name=None)
        ],
        "more": len(table) - len(shown),
    }


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


def estimator_spread(estimates: pd.DataFrame) -> pd.DataFrame:
    """D_T by estimator side by side, a row for each model, target, size and source."""
    keys = [name for name in ("model", "target", "finetune_bytes", "source") if name in estimates]
    if {"size", "stage"} <= set(estimates):
        # `reference` counts D_F in nominal bytes; a row is known by the true ones, which are first.
        group = ["model", "target", "source", "stage", "size"]
        true_bytes = estimates.groupby(group)["finetune_bytes"].transform("first")
        estimates = estimates.assign(finetune_bytes=true_bytes)
    texts = estimates.assign(text=[minus(transferred(row)) for row in estimates.to_dict("records")])
    order = list(dict.fromkeys(estimates["estimator"]))
    wide = texts.pivot_table(index=keys, columns="estimator", values="text", aggfunc="first")
    return wide.reindex(columns=order).fillna("–").reset_index()
