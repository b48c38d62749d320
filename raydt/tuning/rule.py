"""One power law per hyperparameter, fitted to the trials of a stage, so that not every rung of a
ladder needs a search.

A trial i at size D_s has log factors x_ih on the recipe and a score y_i: the log of its validation
loss over that of the recipe as it was (`raydt.tuning.score`).

1. The optimum of a size. With weights w_i ~ exp(-(y_i - min y) / tau_s), summing to one over the
   trials of the size, theta_sh = sum_i w_i x_ih. tau_s is the distance of the best quarter of the
   scores from the best: what a trial gains by luck is of that order, so that no single trial
   decides, and where no trial is better than another theta is the middle of the space.
2. The line. theta_sh = c_h + g_e (z_s - z), z_s = ln D_s and z their mean: least squares, with the
   growth g_e shared by the hyperparameters that share an exponent e (both learning rates). All
   sizes count the same: they have the same number of trials.
3. What of it stands. The trials of each size are drawn with replacement, and 1 and 2 done again
   (bootstrap; Efron & Tibshirani 1993, chapter 13). A growth is kept if the interval between the
   quantiles (1 ± `confidence`) / 2 leaves out 0; otherwise it is 0 and c_h the mean of theta_sh, a
   geometric mean of factors.

The soft optimum leans towards the middle of the space, which is the recipe as it was: with few
trials the rule is timid, not wild.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raydt.tuning.space import Hyperparameter

CONFIDENCE = 0.95
_NUM_DRAWS = 400
_LEAST_TAU = 1e-3  # a thousandth of the loss: less is no difference
_LEAST_TRIALS = 3  # of a size, or its optimum is anybody's guess


@dataclass(frozen=True)
class Scored:
    """A trial that came to its end: log factors by hyperparameter, and its score."""

    size_bytes: int
    log_factors: Mapping[str, float]
    score: float


@dataclass(frozen=True)
class Rule:
    """Factors at `pivot_bytes` by hyperparameter, growths by exponent (0 where the trials do not
    support one) and their intervals; `sizes` are those whose trials it stands on."""

    factors: Mapping[str, float]
    growths: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    pivot_bytes: float
    sizes: tuple[int, ...]
    optima: Mapping[int, Mapping[str, float]] = field(default_factory=dict)  # factors, by size

    def factors_at(self, size_bytes: int, space: Sequence[Hyperparameter]) -> dict[str, float]:
        """What the rule says at a size."""
        ratio = size_bytes / self.pivot_bytes
        return {
            each.name: self.factors[each.name] * ratio ** self.growths.get(each.exponent or "", 0.0)
            for each in space
        }


def soft_optimum(x_ih: NDArray[np.float64], y_i: NDArray[np.float64]) -> NDArray[np.float64]:
    """theta (h,) of one size; the scores y_i (i,) may be infinite (a trial that diverged)."""
    finite = np.isfinite(y_i)
    x_ih, y_i = x_ih[finite], y_i[finite]
    best = y_i.min()
    tau = max(_LEAST_TAU, float(np.quantile(y_i, 0.25) - best))
    w_i = np.exp(-(y_i - best) / tau)
    return np.asarray(w_i @ x_ih / w_i.sum())


def fit_rule(
    trials: Sequence[Scored],
    space: Sequence[Hyperparameter],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Rule | None:
    """The rule of a stage; None if no size has enough trials."""
    names = [each.name for each in space]
    of_size: dict[int, list[Scored]] = {}
    for trial in sorted(trials, key=lambda trial: trial.size_bytes):
        of_size.setdefault(trial.size_bytes, []).append(trial)
    by_size = {
        size: (
            np.array([[trial.log_factors[name] for name in names] for trial in those]),
            np.array([trial.score for trial in those]),
        )
        for size, those in of_size.items()
    }
    by_size = {s: (x, y) for s, (x, y) in by_size.items() if np.isfinite(y).sum() >= _LEAST_TRIALS}
    if not by_size:
        return None
    z_s = np.log(np.array(list(by_size), dtype=float))
    pivot = float(np.exp(z_s.mean()))
    theta_sh = np.stack([soft_optimum(x, y) for x, y in by_size.values()])
    exponents = sorted({each.exponent for each in space if each.exponent is not None})
    growths, intervals = dict.fromkeys(exponents, 0.0), {}
    if len(by_size) > 1:
        drawn = _bootstrap(by_size, z_s, space, exponents, seed)
        fitted = _growths(theta_sh, z_s, space, exponents)
        tail = (1 - confidence) / 2
        for number, exponent in enumerate(exponents):
            low, high = np.quantile(drawn[:, number], [tail, 1 - tail])
            intervals[exponent] = (float(low), float(high))
            if low > 0 or high < 0:
                growths[exponent] = float(fitted[number])
    return Rule(
        # The sizes are centred, so that the mean is the value at the pivot with or without growth.
        {name: float(np.exp(theta_sh[:, h].mean())) for h, name in enumerate(names)},
        growths,
        intervals,
        pivot,
        tuple(by_size),
        {
            size: {name: float(np.exp(theta_sh[s, h])) for h, name in enumerate(names)}
            for s, size in enumerate(by_size)
        },
    )


def _growths(
    theta_sh: NDArray[np.float64],
    z_s: NDArray[np.float64],
    space: Sequence[Hyperparameter],
    exponents: Sequence[str],
) -> NDArray[np.float64]:
    """g_e (e,) by least squares, every hyperparameter with a level of its own."""
    centred = z_s - z_s.mean()
    slopes_h = centred @ theta_sh / (centred @ centred)
    return np.array(
        [
            np.mean([slopes_h[h] for h, each in enumerate(space) if each.exponent == exponent])
            for exponent in exponents
        ]
    )


def _bootstrap(
    by_size: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]],
    z_s: NDArray[np.float64],
    space: Sequence[Hyperparameter],
    exponents: Sequence[str],
    seed: int,
) -> NDArray[np.float64]:
    """Growths (draws, e) of trials drawn with replacement within each size."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_NUM_DRAWS):
        theta = []
        for x_ih, y_i in by_size.values():
            chosen = rng.integers(len(y_i), size=len(y_i))
            while not np.isfinite(y_i[chosen]).any():
                chosen = rng.integers(len(y_i), size=len(y_i))
            theta.append(soft_optimum(x_ih[chosen], y_i[chosen]))
        drawn.append(_growths(np.stack(theta), z_s, space, exponents))
    return np.array(drawn)
