"""Permutation tests between matrices of pairs, by labels of languages: QAP and MRQAP.

Pairs that share a language are not independent, so a correlation over pairs has no i.i.d. p-value.
Under the null the labels of one matrix are exchangeable, and its rows and columns move together
(Hubert 1987; Krackhardt 1988). With controls the test is double semi-partialling (Dekker,
Krackhardt and Snijders 2007, doi 10.1007/s11336-007-9016-1): x is residualised on the controls, the
residuals' labels are permuted, and the pivotal t of the regression on them and the controls is
compared. Matrices are directed and may be rectangular: languages in both roles are permuted in both
together, those that are only sources among themselves, and likewise the targets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, permutations, product

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats
from analysis.claims.grid import Grid
from analysis.quantiles import mean_ranks

Places = npt.NDArray[np.intp]
MOST_ENUMERATED = 5040  # 7!
MIN_FREEDOM = 3  # pairs left after controls
# Share of the variance of a distance that source, target and controls have to leave for it to
# explain anything beyond them: a variance inflation factor of 100.
MIN_LEFT = 0.01


@dataclass(frozen=True)
class LabelPermutations:
    """sources (P, S), targets (P, T): the row and column at each position; the first is the
    identity. exact: whether these are all; number: how many exist."""

    sources: Places
    targets: Places
    exact: bool
    number: int

    @property
    def least_p(self) -> float:
        """The smallest possible p."""
        return 1 / len(self.sources)


@dataclass(frozen=True)
class Association:
    """r: (partial) correlation; p: two-sided; critical_r: the |r| at which p reaches the level;
    error: the standard deviation of r under permuted labels; freedom: pairs beyond the controls;
    note: why r is NaN."""

    r: float
    p: float
    critical_r: float
    num_pairs: int
    note: str = ""
    error: float = math.nan
    freedom: int = 0


def label_permutations(
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    *,
    num_permutations: int,
    random: np.random.Generator,
) -> LabelPermutations:
    """All permutations of labels if there are at most 5040, else a random sample."""
    both = [name for name in sources if name in targets]
    classes = [
        both,
        [name for name in sources if name not in both],
        [name for name in targets if name not in both],
    ]
    number = math.prod(math.factorial(len(names)) for names in classes)
    exact = number <= MOST_ENUMERATED
    if exact:
        drawn = [
            tuple(chain(*parts)) for parts in product(*(permutations(names) for names in classes))
        ]
    else:
        drawn = [tuple(chain(*classes))]
        for _ in range(num_permutations):
            orders = (random.permutation(len(names)) for names in classes)
            drawn.append(
                tuple(
                    names[place]
                    for names, order in zip(classes, orders, strict=True)
                    for place in order
                )
            )
    labels = list(chain(*classes))
    source_place = {name: place for place, name in enumerate(sources)}
    target_place = {name: place for place, name in enumerate(targets)}
    moved = [dict(zip(labels, names, strict=True)) for names in drawn]
    return LabelPermutations(
        np.array([[source_place[move[name]] for name in sources] for move in moved], dtype=np.intp),
        np.array([[target_place[move[name]] for name in targets] for move in moved], dtype=np.intp),
        exact,
        number,
    )


def associated(
    grid: Grid,
    x: Floats,
    drawn: LabelPermutations,
    *,
    controls: tuple[Floats, ...] = (),
    main_effects: bool = False,
    ranks: bool = False,
    level: float = 0.05,
) -> Association:
    """Is the grid's value associated with x (S, T), given controls (S, T) and main effects?

    x and the controls must be known for every pair of two different languages. With `ranks` all
    are ranked first (Spearman). With `main_effects` source and target effects are controls too.
    Without controls this is QAP; with them MRQAP by double semi-partialling.
    """
    different, observed = grid.different(), grid.observed & grid.different()
    assert all(np.isfinite(one[different]).all() for one in (x, *controls)), "missing values"

    def scaled(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
        taken = values[where]
        return mean_ranks(taken) if ranks else np.asarray(taken)

    everywhere = _design(
        grid, different, [scaled(one, different) for one in controls], main_effects
    )
    x_taken = scaled(x, different)
    residual = x_taken - everywhere @ np.linalg.lstsq(everywhere, x_taken, rcond=None)[0]
    spread = float(((x_taken - x_taken.mean()) ** 2).sum())
    if float(residual @ residual) <= MIN_LEFT * spread or x_taken.max() == x_taken.min():
        note = f"under {MIN_LEFT:.0%} of its variance is beyond the controls"
        return _undefined(int(observed.sum()), note)
    square = np.zeros(grid.values.shape)
    square[different] = residual

    design = everywhere[observed[different]]
    annihilator = np.eye(len(design)) - design @ np.linalg.pinv(design)
    freedom = len(design) - np.linalg.matrix_rank(design)
    if freedom < MIN_FREEDOM:
        note = f"needs at least {MIN_FREEDOM} pairs beyond the controls; found {freedom}"
        return _undefined(len(design), note)
    y = annihilator @ scaled(grid.values, observed)
    row, column = np.nonzero(observed)
    moved = square[drawn.sources[:, row], drawn.targets[:, column]] @ annihilator
    norms = np.linalg.norm(moved, axis=1) * np.linalg.norm(y)
    # Under a permutation x may be collinear with the controls: it then explains nothing.
    r = np.divide(moved @ y, norms, out=np.zeros(len(moved)), where=norms > 1e-12)
    strength = np.abs(r)
    p = float((strength >= strength[0] - 1e-12).mean())
    return Association(
        float(r[0]),
        p,
        float(np.quantile(strength, 1 - level, method="higher")),
        len(design),
        error=float(r[1:].std()) if len(r) > 1 else math.nan,
        freedom=int(freedom),
    )


def freedom_with(more: int, languages: int, pairs: int, freedom: int) -> float:
    """Pairs beyond main effects of a grid with `more` languages and the same roles and gaps: pairs
    grow quadratically, effects of sources and targets linearly."""
    wider = languages + more
    effects = pairs - freedom + 1  # of sources and targets, which share a mean
    grown = pairs * wider * (wider - 1) / (languages * (languages - 1))
    return max(1.0, grown - effects * wider / languages + 1)


def _undefined(num_pairs: int, note: str) -> Association:
    return Association(r=math.nan, p=math.nan, critical_r=math.nan, num_pairs=num_pairs, note=note)


def _design(
    grid: Grid, where: npt.NDArray[np.bool_], controls: list[Floats], main_effects: bool
) -> Floats:
    row, column = np.nonzero(where)
    parts = [np.ones((len(row), 1)), *(one[:, None] for one in controls)]
    if main_effects:
        parts += [np.eye(len(grid.sources))[row], np.eye(len(grid.targets))[column]]
    design = np.hstack(parts)
    # Columns of one scale, or the pseudo-inverse cuts the small ones off.
    return np.asarray(design / np.maximum(np.abs(design).max(axis=0), 1e-300))


def holm(p_values: Floats) -> Floats:
    """Holm's step-down p-values (family-wise error); NaN stays NaN and is not counted."""
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Step-up p-values (false discovery rate); NaN stays NaN and is not counted."""
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted
