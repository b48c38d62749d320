"""Every two sources compared: which one is better, how often, and how surely."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd

from analysis.claims.evidence import Evidence


def duels(effective: pd.DataFrame, noise: Evidence | None) -> pd.DataFrame:
    """One row for every ordered pair of sources, over the models, targets and sizes that both have.

    Columns: source and other; compared, the number of comparisons; won, in how many of them the
    source's loss is lower; sure, the share of resamples in which the source's mean log D_E is
    larger (NaN without resamples), without comparisons in which neither D_E is inside the ladder.
    """
    keys = ["model", "target", "finetune_bytes"]
    drawn = None if noise is None else noise.log_ratio
    trained = (effective["finetune_bytes"] > 0).to_numpy()
    at = {
        name: pd.Series(np.flatnonzero((effective["source"] == name).to_numpy())).set_axis(
            pd.MultiIndex.from_frame(effective.loc[effective["source"] == name, keys])
        )
        for name in sorted(effective["source"].unique())
    }
    loss, place = effective["loss"].to_numpy(dtype=float), effective["range"].to_numpy()
    rows: list[dict[str, object]] = []
    for one, other in permutations(at, 2):
        both = at[one].index.intersection(at[other].index)
        if not len(both):
            continue
        mine, theirs = at[one][both].to_numpy(), at[other][both].to_numpy()
        sure = np.nan
        inside = trained[mine] & ((place[mine] == "inside") | (place[theirs] == "inside"))
        if drawn is not None and inside.any():
            lead = (drawn[:, mine[inside]] - drawn[:, theirs[inside]]).mean(axis=1)
            sure = float((lead > 0).mean())
        won = int((loss[mine] < loss[theirs]).sum())
        rows.append(
            {"source": one, "other": other, "won": won, "compared": len(both), "sure": sure}
        )
    return pd.DataFrame(rows, columns=["source", "other", "won", "compared", "sure"])
