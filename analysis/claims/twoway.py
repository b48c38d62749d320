"""Two-way effects of source and target, with intervals that know that pairs are not independent.

value = mean + source + target + rest, by least squares with effects that sum to zero; cells may be
missing. A source's effect is uncertain because the targets are a sample, and a target's because the
sources are: intervals are jackknifes that leave out a whole target (a whole source), with Student's
t of one degree of freedom less than there are targets (sources).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis.arrays import Floats
from analysis.claims.grid import Grid

MIN_LEFT_OUT = 3  # units for a jackknife


@dataclass(frozen=True)
class TwoWay:
    """mean; source (S,), target (T,): effects; rest (S, T), NaN where nothing was observed."""

    mean: float
    source: Floats
    target: Floats
    rest: Floats


def dummies(grid: Grid) -> tuple[Floats, Floats]:
    """Indicator columns of the observed cells: (n, S) of sources, (n, T) of targets."""
    row, column = np.nonzero(grid.observed)
    return np.eye(len(grid.sources))[row], np.eye(len(grid.targets))[column]


def connected(grid: Grid) -> bool:
    """Whether the observed cells identify the effects: no part stands apart from the rest."""
    if not (grid.observed.any(axis=0).all() and grid.observed.any(axis=1).all()):
        return False
    rank = np.linalg.matrix_rank(np.hstack(dummies(grid)))
    return bool(rank == len(grid.sources) + len(grid.targets) - 1)


def two_way(grid: Grid) -> TwoWay:
    """The additive fit. `ValueError` if the cells do not identify it (see `connected`)."""
    if not connected(grid):
        raise ValueError("the cells of the grid fall into parts that share no source or target")
    source, target = dummies(grid)
    num_sources = len(grid.sources)
    # Three columns too many; the two rows below make the effects sum to zero.
    design = np.hstack([np.ones((len(source), 1)), source, target])
    bounds = np.zeros((2, design.shape[1]))
    bounds[0, 1 : 1 + num_sources] = 1
    bounds[1, 1 + num_sources :] = 1
    values = grid.values[grid.observed]
    found = np.linalg.lstsq(np.vstack([design, bounds]), np.append(values, [0, 0]), rcond=None)[0]
    rest = np.full(grid.values.shape, np.nan)
    rest[grid.observed] = values - design @ found
    return TwoWay(float(found[0]), found[1 : 1 + num_sources], found[1 + num_sources :], rest)


def shares(grid: Grid) -> tuple[float, float, float]:
    """Shares of the variation that source, target and the rest (interaction and noise) explain.

    Where cells are missing the order of the factors matters; each gets the mean of what it explains
    first and last (the LMG measure; Grömping 2007). NaN where nothing varies.
    """
    source, target = dummies(grid)
    values = grid.values[grid.observed]
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return float("nan"), float("nan"), float("nan")
    alone_source, alone_target = _explained(source, values), _explained(target, values)
    both = _explained(np.hstack([source, target]), values)
    by_source = (alone_source + both - alone_target) / 2
    by_target = (alone_target + both - alone_source) / 2
    return by_source / total, by_target / total, 1 - both / total


def _explained(design: Floats, values: Floats) -> float:
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(((fitted - values.mean()) ** 2).sum())


def jackknife(
    statistic: Callable[[Grid], float | None], grid: Grid, axis: str, confidence: float
) -> tuple[float, float, int]:
    """Interval of a statistic when a whole target, source or "language" is left out in turn.

    Returns low, high and the number of units; NaN with fewer than 3, or where a part of the grid
    does not give the statistic (`None`).
    """
    names = {
        "source": list(grid.sources),
        "target": list(grid.targets),
        "language": sorted({*grid.sources, *grid.targets}),
    }[axis]
    full = statistic(grid)
    parts = []
    for name in names:
        sources = [one for one in grid.sources if axis == "target" or one != name]
        targets = [one for one in grid.targets if axis == "source" or one != name]
        parts.append(statistic(grid.only(sources, targets)))
    known = np.array([part for part in parts if part is not None and np.isfinite(part)])
    if full is None or len(names) < MIN_LEFT_OUT or len(known) < len(names):
        return float("nan"), float("nan"), len(names)
    count = len(names)
    error = np.sqrt((count - 1) / count * ((known - known.mean()) ** 2).sum())
    reach = float(student.ppf((1 + confidence) / 2, count - 1) * error)
    return full - reach, full + reach, count


def effects_table(grid: Grid, confidence: float) -> pd.DataFrame:
    """Columns role (source | target), language, effect, low, high, num_cells."""
    fit = two_way(grid)
    rows: list[dict[str, object]] = []
    for role, names, effects, axis in (
        ("source", grid.sources, fit.source, "target"),
        ("target", grid.targets, fit.target, "source"),
    ):
        for place, name in enumerate(names):
            low, high, _ = jackknife(_effect_of(role, name), grid, axis, confidence)
            cells = grid.observed[place] if role == "source" else grid.observed[:, place]
            rows.append(
                {
                    "role": role,
                    "language": name,
                    "effect": float(effects[place]),
                    "low": low,
                    "high": high,
                    "num_cells": int(cells.sum()),
                }
            )
    return pd.DataFrame(rows)


def _effect_of(role: str, name: str) -> Callable[[Grid], float | None]:
    def effect(part: Grid) -> float | None:
        names = part.sources if role == "source" else part.targets
        if name not in names or not connected(part):
            return None
        fit = two_way(part)
        return float((fit.source if role == "source" else fit.target)[names.index(name)])

    return effect


def source_effect_p(grid: Grid, num_permutations: int, random: np.random.Generator) -> float:
    """p of "no source differs from another": sources shuffled within each target.

    The statistic is what sources explain beyond targets; within a target the cells are
    exchangeable if the source does not matter. Monte Carlo with the observed one counted.
    """
    source, target = dummies(grid)
    values = grid.values[grid.observed]
    both = np.hstack([source, target])
    beyond = both @ np.linalg.pinv(both) - target @ np.linalg.pinv(target)
    drawn = np.tile(values, (num_permutations + 1, 1))
    for column in target.T.astype(bool):
        drawn[1:, column] = random.permuted(drawn[1:, column], axis=1)
    explained = np.einsum("pi,ij,pj->p", drawn, beyond, drawn)
    return float((explained >= explained[0] * (1 - 1e-9)).mean())
