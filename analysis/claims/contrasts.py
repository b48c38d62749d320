"""Differences of log D_E between sources, over the targets that they share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.grid import Grid
from analysis.claims.quadratic import reach_of_all, size_of
from analysis.claims.twoway import effect_weights


@dataclass(frozen=True)
class Contrasts:
    """Log ratios of D_E between two sources over the same targets (C,), and their resamples (R,
    C)."""

    pairs: list[tuple[str, str]]
    values: Floats
    drawn: Floats | None


def source_contrasts(grid: Grid) -> Contrasts:
    """The contrasts of all pairs of sources, from the additive fit."""
    weights = effect_weights(grid)[1 : 1 + len(grid.sources)]
    pairs = list(combinations(range(len(grid.sources)), 2))
    one, other = np.array(pairs).T
    weights = weights[one] - weights[other]
    drawn = grid.observed_draws()
    return Contrasts(
        [(grid.sources[i], grid.sources[j]) for i, j in pairs],
        weights @ grid.values[grid.observed],
        None if drawn is None else drawn @ weights.T,
    )


def sources_differ_p(grid: Grid, confidence: float) -> float:
    """p of "all sources are equal", with pretrains as the unit; NaN if the noise is unknown."""
    drawn = grid.observed_draws()
    if drawn is None:
        return math.nan
    weights = effect_weights(grid)[1 : 1 + len(grid.sources)]
    values = weights @ grid.values[grid.observed]
    return size_of(values, drawn @ weights.T, confidence).p


def ratios_table(among: Contrasts, confidence: float) -> pd.DataFrame:
    """One row for every two sources, the better one first; the largest ratio comes first."""
    rows = []
    reach = np.full(len(among.values), math.nan)
    if among.drawn is not None:
        reach = reach_of_all(among.drawn, 1 - confidence)[1]
    for (one, other), value, half in zip(among.pairs, among.values, reach, strict=True):
        names = (one, other) if value >= 0 else (other, one)
        size = abs(float(value))
        ends = math.exp(size - half), math.exp(size + half)
        rows.append((*names, math.exp(size), *ends))
    table = pd.DataFrame(rows, columns=["source", "other", "ratio", "low", "high"])
    return table.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)
