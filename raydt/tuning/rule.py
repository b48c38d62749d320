"""One power law per hyperparameter, fitted to the trials of a stage: no search is needed at every
rung of a ladder.

A trial i at size D with log factors x_ih on the recipe has a score y_i: the log of its validation
loss over that of the baseline (`raydt.tuning.score`). The scores of all sizes together are
one response surface (Box & Wilson 1951), quadratic in the log factors, with optima that move with
the size:

    y_i = c_gi + sum_h [ a_h u_ih + b_h u_ih z_i + q_h u_ih^2 ] + noise,

u_ih is x_ih in half widths of the space, z_i = ln D_i centred and in units of its spread, c_g a
level of its own for each size and language (a baseline is a single run, and has noise, too). The
optimum at a size is u_h*(z) = -(a_h + b_h z) / (2 q_h), held within the space.

The coefficients have normal priors: a_h and b_h around 0 with one scale, q_h around k with scale k
(the optimum is usually inside the space). Both scales and the noise maximise the marginal
likelihood (empirical Bayes; MacKay 1992, Neural Computation 4:415). From the posterior,
which is normal, coefficients are drawn; each draw has its optima x_h*(z_s) at the searched sizes,
and a line through them: a level at the mean of ln D and a growth, shared by the hyperparameters
that share an exponent (both learning rates).

Noise has standard deviation sigma (1 + (y_i - min y) / (median y - min y)): far from its optimum a
loss is not quadratic, so those trials count less. Trials that were stopped early are left out:
their final loss is not known.

The factor is exp of the mean level. A growth is kept, at its mean, if the interval between the
quantiles (1 ± `confidence`) / 2 of the draws excludes 0; otherwise it is 0. A hyperparameter that
the trials say nothing about stays near the middle of the space, which is the previous recipe.

Why not a mean of the factors weighted by exp(-y), with a bootstrap over trials: Optuna puts its
later trials where its first ones were lucky, so the positions of the trials reflect luck, and the
bootstrap takes it for evidence. A regression takes the positions as given and models only the
scores. How often either is wrong: `benchmarks/tuning_rule.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raydt.tuning.space import Hyperparameter

CONFIDENCE = 0.95
_NUM_DRAWS = 1000
_MIN_TRIALS = 3  # besides baselines
# In units of the spread of the scores.
_SLOPES = np.geomspace(0.1, 3, 6)
_CURVATURES = np.geomspace(0.1, 3, 6)
_NOISES = np.geomspace(0.03, 1, 8)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A finished trial or a baseline: its log factors by hyperparameter, and its score (infinite if
    it diverged). Scores of one size and language share a level."""

    size_bytes: int
    language: str
    log_factors: Mapping[str, float]
    score: float


@dataclass(frozen=True)
class Rule:
    """Factors at `pivot_bytes` by hyperparameter, growths by exponent (0 if the trials do not
    support one) and their intervals; `sizes` are the sizes of the trials it is fitted to."""

    factors: Mapping[str, float]
    growths: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    pivot_bytes: float
    sizes: tuple[int, ...]
    factor_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def fit_rule(
    trials: Sequence[Scored],
    space: Sequence[Hyperparameter],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Rule | None:
    """The rule of a stage; None if there are too few trials."""
    tried = [trial for trial in trials if any(trial.log_factors.values())]
    sizes = sorted({trial.size_bytes for trial in tried})
    if sum(np.isfinite(trial.score) for trial in tried) < _MIN_TRIALS:
        return None
    trials = [trial for trial in trials if trial.size_bytes in sizes]
    z_s = np.log(np.array(sizes, dtype=float))
    pivot = float(np.exp(z_s.mean()))
    z_s = z_s - z_s.mean()
    spread = float(z_s.std()) or 1.0
    half_h = np.array([(np.log(each.high) - np.log(each.low)) / 2 for each in space])
    u_ih = np.array([[t.log_factors[each.name] for each in space] for t in trials]) / half_h
    z_i = np.array([z_s[sizes.index(t.size_bytes)] for t in trials]) / spread
    levels = sorted({(t.size_bytes, t.language) for t in trials})
    level_ig = np.array([[(t.size_bytes, t.language) == g for g in levels] for t in trials])
    y_i = np.array([t.score for t in trials])
    # A trial that diverged shows that its place is bad, but not how bad.
    y_i = np.minimum(y_i, y_i[np.isfinite(y_i)].max())
    terms = np.hstack([level_ig.astype(float), u_ih, u_ih * z_i[:, None], u_ih**2])
    drawn = _posterior(terms, y_i, len(space), np.random.default_rng(seed))
    a_nh, b_nh, q_nh = np.split(drawn[:, len(levels) :], 3, axis=1)
    x_nsh = np.stack([_optimum(a_nh + b_nh * z / spread, q_nh) for z in z_s], axis=1) * half_h
    level_nh = x_nsh.mean(axis=1)
    tail = (1 - confidence) / 2
    growths, intervals = {}, {}
    for exponent in sorted({each.exponent for each in space if each.exponent is not None}):
        growths[exponent] = 0.0
        if len(sizes) > 1:
            mine = [h for h, each in enumerate(space) if each.exponent == exponent]
            growth_n = (z_s @ x_nsh[:, :, mine].mean(axis=2).T) / (z_s @ z_s)
            intervals[exponent] = _interval(growth_n, tail)
            if intervals[exponent][0] > 0 or intervals[exponent][1] < 0:
                growths[exponent] = float(growth_n.mean())
    names = [each.name for each in space]
    return Rule(
        {name: float(np.exp(level_nh[:, h].mean())) for h, name in enumerate(names)},
        growths,
        intervals,
        pivot,
        tuple(sizes),
        {name: _interval(np.exp(level_nh[:, h]), tail) for h, name in enumerate(names)},
    )


def _interval(values: Array, tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _looseness(y_i: Array) -> Array:
    """Relative standard deviations of the scores (i,): 1 at the best score, growing with the
    distance from it in units of the median's distance. The surface is quadratic only near the
    optimum."""
    best = y_i.min()
    middle = max(float(np.median(y_i) - best), 1e-3)
    loose: Array = 1 + (y_i - best) / middle
    return loose


def _optimum(lin_nh: Array, q_nh: Array) -> Array:
    """The u within [-1, 1] that minimises lin u + q u^2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.clip(-lin_nh / (2 * q_nh), -1, 1)
    at: Array = np.where(q_nh > 0, inside, -np.sign(lin_nh))
    return at


def _posterior(x_ip: Array, y_i: Array, num: int, rng: np.random.Generator) -> Array:
    """Coefficients (draws, p): levels, then `num` slopes, `num` growths, `num` curvatures."""
    loose_i = _looseness(y_i)
    x_ip, y_i = x_ip / loose_i[:, None], y_i / loose_i
    spread = max(float(y_i.std()), 1e-6)
    num_levels = x_ip.shape[1] - 3 * num
    best: tuple[float, Array, Array, float] | None = None
    for slope in _SLOPES * spread:
        for curvature in _CURVATURES * spread:
            prior_p = np.concatenate(
                [np.full(num_levels, 3 * spread), np.full(2 * num, slope), np.full(num, curvature)]
            )
            mean_p = np.concatenate([np.zeros(num_levels + 2 * num), np.full(num, curvature)])
            explained_ii = (x_ip * prior_p**2) @ x_ip.T
            residual_i = y_i - x_ip @ mean_p
            for noise in _NOISES * spread:
                factor = np.linalg.cholesky(explained_ii + noise**2 * np.eye(len(y_i)))
                whitened_i = np.linalg.solve(factor, residual_i)
                evidence = -whitened_i @ whitened_i / 2 - np.log(np.diag(factor)).sum()
                if best is None or evidence > best[0]:
                    best = float(evidence), prior_p, mean_p, float(noise)
    assert best is not None
    _, prior_p, mean_p, noise = best
    covariance = np.linalg.inv(x_ip.T @ x_ip / noise**2 + np.diag(prior_p**-2.0))
    center_p = mean_p + covariance @ (x_ip.T @ (y_i - x_ip @ mean_p)) / noise**2
    drawn: Array = rng.multivariate_normal(center_p, covariance, size=_NUM_DRAWS)
    return drawn
