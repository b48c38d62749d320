"""The seeds that a refinement added: how many each cell got, and why."""

from __future__ import annotations

import pandas as pd

from raydt.tracking.schema import Status

_GROUP = ["model", "stage", "source", "target", "size", "size_bytes"]
_COLUMNS = ["model", "stage", "source", "target", "size", "seeds", "added", "why"]


def added_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per group of cells that got any: `seeds` that are done, `added` of them, and `why`,
    the first and the last reason. Takes the table of `analysis.table`; no rows where nothing
    was added."""
    done = cells[cells["status"] == Status.DONE]
    got = done["added_for"].notna().groupby([done[name] for name in _GROUP], dropna=False)
    rows = []
    # Few of a grid's ten thousand groups got any, and checking each takes time.
    for _, group in done[got.transform("any")].groupby(_GROUP, sort=True, dropna=False):
        added = group[group["added_for"].notna()].sort_values("seed")
        reasons = list(dict.fromkeys([added["added_for"].iloc[0], added["added_for"].iloc[-1]]))
        counts = {"seeds": len(group), "added": len(added), "why": ", then ".join(reasons)}
        rows.append({**group.iloc[0][_GROUP[:-1]].to_dict(), **counts})
    return pd.DataFrame(rows, columns=_COLUMNS)
