"""How much sources differ at each size, and what explains log(D_E / D_F) there."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.claims.contrasts import sources_differ_p
from analysis.claims.grid import Finetuned, Grid, grid_of, pooled
from analysis.claims.twoway import connected, shares, source_effect_p, two_way


def _spread(grid: Grid) -> float:
    """The standard deviation between sources within a target, pooled over targets."""
    within = grid.values - np.nanmean(grid.values, axis=0)
    freedom = int((grid.observed.sum(axis=0) - 1).clip(min=0).sum())
    return math.sqrt(float(np.nansum(within**2)) / freedom) if freedom else math.nan


def spread_by_size(
    found: Finetuned, num_permutations: int, random: np.random.Generator
) -> pd.DataFrame:
    """One row per size: the spread between sources, the shares of the variation by source, target,
    pair and seeds, and p-values of "no difference between sources"."""
    rows: list[dict[str, object]] = []
    sizes = found.rows["finetune_bytes"].to_numpy()
    for finetune_bytes in np.unique(sizes):
        part = found.where(sizes == finetune_bytes)
        mine = part.rows
        ratios = pooled(mine, "log_ratio", part.drawn)
        gains = grid_of(mine[np.isfinite(mine["gain"].to_numpy(dtype=float))], "gain")
        row: dict[str, object] = {
            "finetune_bytes": finetune_bytes,
            "num_pairs": ratios.num_pairs,
            "num_bounds": int((mine["range"] != "inside").sum()),
            "mean_gain": float(np.nanmean(gains.values)) if gains.num_pairs else math.nan,
            "sd_between_sources": _spread(gains) if gains.num_pairs else math.nan,
        }
        if connected(ratios) and len(ratios.sources) > 1 and len(ratios.targets) > 1:
            each = shares(ratios)
            row |= {
                "share_source": each.source,
                "share_target": each.target,
                "share_pair": each.pair,
                "share_seeds": each.noise,
            }
            row["sd_rest"] = float(np.nanstd(two_way(ratios).rest))
            if ratios.drawn is None:
                row["p_checkpoints"] = source_effect_p(ratios, num_permutations, random)
            else:
                row["p_source"] = sources_differ_p(ratios, 0.9)
        rows.append(row)
    columns = [
        "finetune_bytes",
        "num_pairs",
        "num_bounds",
        "mean_gain",
        "sd_between_sources",
        "share_source",
        "share_target",
        "share_pair",
        "share_seeds",
        "sd_rest",
        "p_source",
        "p_checkpoints",
    ]
    return pd.DataFrame(rows, columns=columns)
