"""Two-way effects of source and target, with intervals that allow for dependent pairs.

value = mean + source + target + rest, by least squares with effects that sum to zero; cells may be
missing. Effects are those of the languages in the grid. Their uncertainty is the luck of seeds,
above all of pretrains, which all targets of a source share: intervals come from the resamples. With
one seed that luck is unknown, and effects are those of these checkpoints: intervals are then
jackknifes that leave out a whole target (or source), with Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

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
    """Whether the observed cells identify the effects: the grid has no disconnected part."""
    if not (grid.observed.any(axis=0).all() and grid.observed.any(axis=1).all()):
        return False
    rank = np.linalg.matrix_rank(np.hstack(dummies(grid)))
    return bool(rank == len(grid.sources) + len(grid.targets) - 1)


def two_way(grid: Grid) -> TwoWay:
    """The additive fit. `ValueError` if the cells do not identify it (see `connected`)."""
    weights = effect_weights(grid)
    values = grid.values[grid.observed]
    found = weights @ values
    source, target = dummies(grid)
    num_sources = len(grid.sources)
    mean, by_source, by_target = found[0], found[1 : 1 + num_sources], found[1 + num_sources :]
    rest = np.full(grid.values.shape, np.nan)
    rest[grid.observed] = values - mean - source @ by_source - target @ by_target
    return TwoWay(float(mean), by_source, by_target, rest)


def effect_weights(grid: Grid) -> Floats:
    """The matrix (1 + S + T, n) that maps observed cells to mean, source and target effects.
    `ValueError` if these are not identified."""
    if not connected(grid):
        raise ValueError("the cells of the grid fall into parts that share no source or target")
    source, target = dummies(grid)
    num_sources = len(grid.sources)
    # Three columns too many; the two rows below make the effects sum to zero.
    design = np.hstack([np.ones((len(source), 1)), source, target])
    bounds = np.zeros((2, design.shape[1]))
    bounds[0, 1 : 1 + num_sources] = 1
    bounds[1, 1 + num_sources :] = 1
    return np.asarray(np.linalg.pinv(np.vstack([design, bounds]))[:, :-2])


@dataclass(frozen=True)
class Shares:
    """Shares of a grid's variation explained by source, target, pair and the noise of seeds.

    noise is NaN if unknown, and then part of `pair`.
    """

    source: float
    target: float
    pair: float
    noise: float


def shares(grid: Grid) -> Shares:
    """Shares of the sum of squares, each without the contribution of noise.

    If cells are missing the order of the factors matters; each gets the mean of its shares as first
    and as last factor (the LMG measure; Grömping 2007). NaN if nothing varies.
    """
    source, target = dummies(grid)
    values = grid.values[grid.observed]
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return Shares(math.nan, math.nan, math.nan, math.nan)
    projections = [_onto(design) for design in (source, target, np.hstack([source, target]))]
    parts = _parts(projections, values[None])[0]
    drawn = grid.observed_draws()
    if drawn is None:
        by_source, by_target, by_pair = (float(part) for part in parts / total)
        return Shares(by_source, by_target, by_pair, math.nan)
    noise = _parts(projections, drawn - drawn.mean(axis=0)).mean(axis=0)
    true = np.maximum(parts - noise, 0.0)
    by_source, by_target, by_pair = (float(part) for part in true / total)
    return Shares(by_source, by_target, by_pair, max(0.0, 1 - by_source - by_target - by_pair))


def _onto(design: Floats) -> Floats:
    """An orthonormal basis (n, rank) of the columns and the constant's complement."""
    centred = design - design.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, values > 1e-9 * max(float(values[0]), 1e-300)])


def _parts(projections: list[Floats], values: Floats) -> Floats:
    """Sums of squares (R, 3) of source, target and the rest, of values (R, n)."""
    centred = values - values.mean(axis=1, keepdims=True)
    alone_source, alone_target, both = (
        ((centred @ basis) ** 2).sum(axis=1) for basis in projections
    )
    total = (centred**2).sum(axis=1)
    return np.stack(
        [
            (alone_source + both - alone_target) / 2,
            (alone_target + both - alone_source) / 2,
            total - both,
        ],
        axis=1,
    )


def jackknife(
    statistic: Callable[[Grid], float | None], grid: Grid, axis: str, confidence: float
) -> tuple[float, float, int]:
    """Interval of a statistic when a whole target, source or "language" is left out in turn.

    Returns low, high and the number of units; NaN with fewer than 3, or if the statistic is `None`
    for a part of the grid.
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
    reach = float(stdtrit(count - 1, (1 + confidence) / 2) * error)
    return full - reach, full + reach, count


def effects_table(grid: Grid, confidence: float) -> pd.DataFrame:
    """Columns role (source | target), language, effect, low, high, num_cells."""
    fit = two_way(grid)
    drawn = grid.observed_draws()
    each = None if drawn is None else drawn @ effect_weights(grid).T
    tail = (1 - confidence) / 2
    rows: list[dict[str, object]] = []
    for role, names, effects, axis, first in (
        ("source", grid.sources, fit.source, "target", 1),
        ("target", grid.targets, fit.target, "source", 1 + len(grid.sources)),
    ):
        for place, name in enumerate(names):
            if each is None:
                low, high, _ = jackknife(_effect_of(role, name), grid, axis, confidence)
            else:
                low, high = np.quantile(each[:, first + place], [tail, 1 - tail])
            cells = grid.observed[place] if role == "source" else grid.observed[:, place]
            rows.append(
                {
                    "role": role,
                    "language": name,
                    "effect": float(effects[place]),
                    "low": float(low),
                    "high": float(high),
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
    """p of "no checkpoint differs from another": sources permuted within each target.

    Checkpoints and languages cannot be distinguished without several seeds.

    The statistic is the variation that sources explain beyond targets; within a target the cells
    are exchangeable if the source does not matter. Monte Carlo, counting the observed value.
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
