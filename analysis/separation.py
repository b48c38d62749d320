"""At which size of a target its sources can be told apart best, and at which not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.claims.evidence import Evidence

SURE = 0.95  # share of resamples from which on an order of two is called clear
# With one seed, a D_T below this share of D_F does not count as different from 0.
MIN_TRANSFER_SHARE = 0.1


@dataclass(frozen=True)
class Separation:
    """best: the D_F (bytes) at which sources are separated best; uninformative: sizes (bytes) at
    which no D_T differs from 0 and no two sources differ."""

    best: int
    uninformative: tuple[int, ...]


def separation(
    rows: pd.DataFrame, noise: Evidence | None, suspect: Collection[int] = ()
) -> Separation:
    """How well sources are separated, in rows of one model and target with their original index.

    A D_T differs from 0 if it is inside the ladder and its interval excludes 0 (with one seed: if
    it is more than a tenth of D_F); two sources differ if one has the larger D_E in 95 % of
    resamples. The best size has a source with positive D_T and a trusted ladder (not `suspect`),
    then the most pairs of sources that differ, then the most standard errors between them.
    """
    low, high = rows["transferred_low_bytes"], rows["transferred_high_bytes"]
    apart = (low > 0) | (high < 0)
    by_size = rows["transferred_bytes"].abs() > MIN_TRANSFER_SHARE * rows["finetune_bytes"]
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
    uninformative = tuple(int(one[-1]) for one in found if one[1] == one[2] == 0)
    return Separation(int(best), uninformative)


def _apart(group: pd.DataFrame, noise: Evidence | None) -> tuple[int, float]:
    """How many pairs of sources differ, and the mean distance of two in standard errors, over pairs
    with at least one D_E inside the ladder."""
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
