"""At which size of a target its sources can be told apart best, and at which not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.claims.evidence import Evidence

SURE = 0.95  # share of resamples from which on an order of two is called clear
TOLD_SHARE = 0.1  # of D_F: with one seed, a smaller D_T is not spoken of


@dataclass(frozen=True)
class Telling:
    """best: the D_F (bytes) to speak of; nothing: sizes at which no D_T is told from 0 and no two
    sources are told apart, by their labels in `effective`."""

    best: int
    nothing: tuple[int, ...]


def telling(rows: pd.DataFrame, noise: Evidence | None, suspect: Collection[int] = ()) -> Telling:
    """Of the rows of one model and target, with the index that they have in the whole table.

    A D_T is told where it is inside the ladder and its interval leaves 0 out (with one seed: where
    it is more than a tenth of D_F); two sources are told apart where one has the larger D_E in 95 %
    of resamples. The best size has a source that is worth anything, on a ladder that is trusted
    (not `suspect`), and then most pairs told apart, by the most standard errors.
    """
    low, high = rows["transferred_low_bytes"], rows["transferred_high_bytes"]
    apart = (low > 0) | (high < 0)
    by_size = rows["transferred_bytes"].abs() > TOLD_SHARE * rows["finetune_bytes"]
    told = (rows["range"] == "inside") & apart.where(low.notna(), by_size)
    found = []
    for size, group in rows.groupby("finetune_bytes", sort=True):
        mine = told[group.index]
        inside = group["range"] == "inside"
        worth = (group["transferred_bytes"] > 0) & (group["range"] != "below")
        pairs, errors = _apart(group, noise)
        useful = int(str(size)) not in suspect and mine.any() and worth.any()
        found.append((bool(useful), pairs, int(mine.sum()), int(inside.sum()), errors, size))
    best = max(found)[-1]
    nothing = tuple(int(one[-1]) for one in found if one[1] == one[2] == 0)
    return Telling(int(best), nothing)


def _apart(group: pd.DataFrame, noise: Evidence | None) -> tuple[int, float]:
    """How many pairs of sources are told apart, and the mean standard errors between two; of those
    of which one at least is inside the ladder."""
    if noise is None or noise.log_ratio is None or (group["finetune_bytes"] == 0).any():
        return 0, 0.0
    drawn = noise.log_ratio[:, group.index.to_numpy()]
    inside = (group["range"] == "inside").to_numpy()
    pairs, errors = 0, []
    for one, other in combinations(range(len(group)), 2):
        if not (inside[one] or inside[other]):
            continue
        lead = drawn[:, one] - drawn[:, other]
        share = float((lead > 0).mean())
        pairs += max(share, 1 - share) >= SURE
        spread = float(lead.std())
        errors.append(abs(float(lead.mean())) / spread if spread > 0 else 0.0)
    return int(pairs), float(np.mean(errors)) if errors else 0.0
