"""What contradicts that sources are alike, where a mean over sizes would hide it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.claims.grid import Comparable, Finetuned
from analysis.claims.signs import certain_signs

# Of D_T, in the effective table.
INTERVAL = ("transferred_low_bytes", "transferred_high_bytes", "low_range", "high_range")


@dataclass(frozen=True)
class LeftOut:
    """Two sources at a size that is not compared, as a D_E there is a bound: at least how many
    times `other` in D_E `source` is worth; missing: the rung that would tell, below or above."""

    source: str
    other: str
    target: str
    size: str
    fold: float
    missing: str

    def __str__(self) -> str:
        return (
            f"on {self.size} of {self.target}, left out because a D_E is a bound, {self.source} "
            f"gives at least {self.fold:.2g} times the D_E of {self.other}"
        )


def widest_left_out(found: Finetuned, left: Comparable) -> LeftOut | None:
    """The largest ratio that bounds show among what `comparable` left out, by point estimates."""
    rows = found.rows[~found.rows.index.isin(left.found.rows.index) & ~found.rows["distrusted"]]
    widest: LeftOut | None = None
    for target, mine in rows.groupby(["target", "finetune_bytes"]):
        best = mine[mine["range"] != "below"]  # at least this
        least = mine[mine["range"] != "above"]  # at most this
        if best.empty or least.empty:
            continue
        high = best.loc[best["log_ratio"].idxmax()]
        low = least.loc[least["log_ratio"].idxmin()]
        fold = float(np.exp(high["log_ratio"] - low["log_ratio"]))
        if widest is None or fold > widest.fold:
            missing = "below" if low["range"] == "below" else "above"
            widest = LeftOut(
                high["source"], low["source"], str(target[0]), high["size"], fold, missing
            )
    return widest


def opposite_signs(rows: pd.DataFrame) -> str:
    """Two sources of a target and size of which one helps and the other does harm, both with
    certainty, the largest difference of all; "" if there are none."""
    signs = certain_signs(rows, *INTERVAL)
    where = ["target", "size", "finetune_bytes"]
    both = rows[signs > 0].merge(rows[signs < 0], on=where, suffixes=("", "_lost"))
    if both.empty:
        return ""
    one = both.loc[(both["log_ratio"] - both["log_ratio_lost"]).idxmax()]
    return (
        f"into {one['target']} on {one['size']} {one['source']} helps and {one['source_lost']} "
        "does harm, each beyond its interval"
    )
