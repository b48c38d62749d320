"""Evidence that sources differ, which a mean over sizes would hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.claims.grid import Comparable, Finetuned
from analysis.claims.signs import certain_signs

# The interval of D_T, in the effective table.
INTERVAL = ("transferred_low_bytes", "transferred_high_bytes", "low_range", "high_range")


@dataclass(frozen=True)
class LeftOut:
    """Two sources at a size that the comparison leaves out because a D_E there is a bound.

    `source` has at least `fold` times the D_E of `other`. `missing` says where the scratch ladder
    lacks a rung that would turn the bound into an estimate: "below" or "above".
    """

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


def widest_left_out(found: Finetuned, compared: Comparable) -> LeftOut | None:
    """The largest ratio that the point estimates show among the rows that `compared` lacks."""
    rows = found.rows[~found.rows.index.isin(compared.found.rows.index) & ~found.rows["distrusted"]]
    widest: LeftOut | None = None
    for target, mine in rows.groupby(["target", "finetune_bytes"]):
        at_least = mine[mine["range"] != "below"]  # estimates and lower bounds
        at_most = mine[mine["range"] != "above"]  # estimates and upper bounds
        if at_least.empty or at_most.empty:
            continue
        high = at_least.loc[at_least["log_ratio"].idxmax()]
        low = at_most.loc[at_most["log_ratio"].idxmin()]
        fold = float(np.exp(high["log_ratio"] - low["log_ratio"]))
        if widest is None or fold > widest.fold:
            missing = "below" if low["range"] == "below" else "above"
            widest = LeftOut(
                high["source"], low["source"], str(target[0]), high["size"], fold, missing
            )
    return widest


def opposite_signs(rows: pd.DataFrame) -> str:
    """The two sources of one target and size that differ most, one of which certainly helps while
    the other certainly hurts; "" if there are none."""
    signs = certain_signs(rows, *INTERVAL)
    where = ["target", "size", "finetune_bytes"]
    both = rows[signs > 0].merge(rows[signs < 0], on=where, suffixes=("", "_lost"))
    if both.empty:
        return ""
    one = both.loc[(both["log_ratio"] - both["log_ratio_lost"]).idxmax()]
    return (
        f"into {one['target']} on {one['size']}, {one['source']} helps and {one['source_lost']} "
        "hurts, and neither interval includes 0"
    )
