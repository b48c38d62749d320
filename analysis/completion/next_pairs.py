"""Which pairs to measure next: those that narrow the matrix most per FLOP.

The width of a prediction does not depend on the measured values, only on which pairs are measured
and on the variances of the parts (`analysis.completion.kernel`). So each missing pair is treated as
measured, and the reduction of the summed variance of the missing ones, divided by the FLOPs of the
cells it needs, decides; then the next, given that one. A pretrain or ladder already needed by an
earlier pair is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.grid import finetuned, pooled
from analysis.completion.completed import known_distances
from analysis.completion.kernel import MIN_PAIRS, assumed_covariance, fit, languages_of

Pair = tuple[str, str]  # source, target


@dataclass(frozen=True)
class NextPair:
    """A pair to measure.

    flops: of the cells that it needs, unless they exist or an earlier pair needs them; narrowing:
    the share by which it reduces the summed variance of the pairs that were missing at first.
    """

    source: str
    target: str
    flops: int
    narrowing: float


@dataclass(frozen=True)
class Next:
    """pairs: the best first; num_measured: pairs that the variances were estimated from, 0 if they
    are assumed; num_missing: pairs that could be measured."""

    pairs: list[NextPair]
    num_measured: int
    num_missing: int


def next_pairs(
    effective: pd.DataFrame,
    models: Sequence[str],
    pairs: Sequence[Pair],
    needed: Mapping[Pair, Mapping[str, int]],
    number: int,
) -> Next:
    """The next `number` pairs, or as many as are missing.

    effective: columns of `analysis.effective.COLUMNS`, empty if nothing is measured; pairs: the
    whole matrix; needed: for each pair that can be measured, its missing cells and their FLOPs.
    With several models the variances of all have equal weight.
    """
    left, num_measured = [], 0
    for model in models:
        covariance, measured = _covariance(effective, model, pairs)
        left.append(covariance)
        num_measured = max(num_measured, measured)
    open_places = [place for place, pair in enumerate(pairs) if needed.get(pair)]
    found: list[NextPair] = []
    bought: set[str] = set()
    before = sum(_total(one, open_places) for one in left)
    wanted = list(open_places)
    while wanted and len(found) < number:
        falls = {place: sum(_fall(one, place, open_places) for one in left) for place in wanted}
        costs = {
            place: sum(flops for cell, flops in needed[pairs[place]].items() if cell not in bought)
            for place in wanted
        }
        # Among free pairs the most informative one; ties by name.
        best = min(wanted, key=lambda place: (-falls[place] / max(costs[place], 1), pairs[place]))
        source, target = pairs[best]
        share = falls[best] / before if before > 0 else 0.0
        found.append(NextPair(source, target, costs[best], share))
        bought.update(needed[pairs[best]])
        wanted.remove(best)
        left = [_given(one, best) for one in left]
    return Next(found, num_measured, len(open_places))


def _covariance(effective: pd.DataFrame, model: str, pairs: Sequence[Pair]) -> tuple[Floats, int]:
    """Covariance of the pairs given those measured at the model, and how many informed the
    variances."""
    names = {name for pair in pairs for name in pair}
    languages = languages_of(pairs, known_distances(names))
    rows = finetuned(effective, model).rows
    grid = pooled(rows, "log_ratio")
    values = {
        (source, target): grid.values[row, column]
        for row, source in enumerate(grid.sources)
        for column, target in enumerate(grid.targets)
    }
    y = np.array([values.get(pair, np.nan) for pair in pairs])
    there = np.flatnonzero(np.isfinite(y))
    if len(there) >= MIN_PAIRS and np.ptp(y[there]) > 0:
        found = fit(y, languages).covariance
        # Models have equal weight, whatever the scale of their D_E.
        return found / float(y[there].var()), len(there)
    covariance = assumed_covariance(languages)
    for place in there:
        covariance = _given(covariance, int(place))
    return covariance, 0


def _given(covariance: Floats, place: int) -> Floats:
    """The covariance given the value of one pair."""
    own = covariance[place, place]
    if own <= 1e-12:
        return covariance
    return np.asarray(covariance - np.outer(covariance[:, place], covariance[place]) / own)


def _fall(covariance: Floats, place: int, places: Sequence[int]) -> float:
    own = covariance[place, place]
    return float((covariance[places, place] ** 2).sum() / own) if own > 1e-12 else 0.0


def _total(covariance: Floats, places: Sequence[int]) -> float:
    return float(np.diag(covariance)[list(places)].sum())
