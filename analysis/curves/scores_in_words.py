"""Bilingual transfer scores as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.wording import listed

_MARKS = {"inside": "", "below": "< ", "above": "> "}
MEANING = "0: no transfer; above: the source helps; below: it interferes"


def score_text(row: Mapping[Any, Any]) -> str:
    """ "+0.42", or a bound such as "< -0.30"; zero has no sign."""
    return _MARKS[row["range"]] + _signed(row["score"])


def score_with_interval(row: Mapping[Any, Any]) -> str:
    """ "+0.42 [+0.31, +0.50]"; without an interval if there is none, or if both its ends are off
    the same end of the curve."""
    if pd.isna(row["low"]) or row["low_range"] == row["high_range"] != "inside":
        return score_text(row)
    low, high = (_MARKS[row[f"{end}_range"]].strip() + _signed(row[end]) for end in ("low", "high"))
    return f"{score_text(row)} [{low}, {high}]"


def _signed(score: float) -> str:
    text = f"{score:+.2f}"
    return "0.00" if float(text) == 0 else text


def bilingual_sentences(scores: pd.DataFrame) -> list[str]:
    """For each model and target, at the size where most scores are not bounds (the larger of two
    such): the effect of joint training."""
    said: list[str] = []
    several = scores["model"].nunique() > 1 if len(scores) else False
    for (model, target), mine in scores.groupby(["model", "target"], sort=True):
        inside = (mine["range"] == "inside").groupby(mine["target_bytes"]).sum()
        size = inside[inside == inside.max()].index.max()
        rows = mine[mine["target_bytes"] == size].sort_values(
            ["score", "source"], ascending=[False, True], kind="stable"
        )
        each = listed(
            (f"{row['source']} {score_with_interval(row)}" for row in rows.to_dict("records")), 4
        )
        where = f"{target} ({model})" if several else str(target)
        meaning = "" if said else f" ({MEANING})"
        said.append(
            f"Trained together from scratch, on {rows['size'].iloc[0]} of {where}: bilingual "
            f"transfer score {each}{meaning}."
        )
    return said
