"""A source x target matrix with missing pairs: two-way effects, distance, and similarity of pairs.

    value = mean + source + target + slope·distance + g(source, target) + own

The mean is free; all other parts are normal with mean 0, so effects that few pairs inform are
shrunk. g is a Gaussian process over languages: its correlation between (s, t) and (s', t') is
k(s, s')·k(t, t') with k = exp(-distance / length), so that a pair learns from pairs of near
languages. `own` is the part about which no other pair is informative, including the noise of seeds.
The variances of the parts are not chosen but averaged over their posterior (a finite mixture of
settings); the overall scale is integrated out, which gives Student's t. Given the variances, the
prediction is the best linear unbiased one (Henderson 1975; in geostatistics ordinary kriging).
Where a distance is unknown, the pair does not inform the slope, and its languages are treated as
unrelated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from analysis.arrays import Floats

MIN_PAIRS = 6  # measured; with fewer nothing is predicted
# Settings of the variances; with many pairs each takes longer and few are probable.
_DRAWS, _DRAWS_OF_MANY, _FEW_PAIRS = 128, 64, 100
# Priors of the standard deviations of source, target, slope and similarity relative to a pair's own
# part, and of the length (distances are in 0 to 1): median, and standard deviation of the
# logarithm.
_MIDDLE = (1.0, 1.0, 0.5, 0.5, 0.4)
_LOG_SD = (1.0, 1.0, 1.0, 1.0, 0.7)
_HALVINGS = 32  # of 100 standard deviations


@dataclass(frozen=True, eq=False)
class Languages:
    """The pairs of a matrix: sources (N,) and targets (N,) as indices into `distance` (L, L), the
    distances between languages, NaN where unknown."""

    source: npt.NDArray[np.int_]
    target: npt.NDArray[np.int_]
    distance: Floats

    def of_pairs(self) -> Floats:
        """Standardised distance of each pair; 0 where unknown."""
        known = self.distance[self.source, self.target]
        if not np.isfinite(known).any():
            return np.zeros(len(known))
        centred = known - np.nanmean(known)
        spread = float(np.nanstd(known))
        return np.nan_to_num(centred / spread if spread > 1e-9 else np.zeros(len(known)))


@dataclass(frozen=True, eq=False)
class Spreads:
    """Standard deviations of the parts relative to the pair's own part, and the length scale of
    similarity; each (M,), one per setting."""

    source: Floats
    target: Floats
    slope: Floats  # times the standard deviation of the distances
    likeness: Floats
    length: Floats

    @classmethod
    def drawn(cls, num_pairs: int) -> Spreads:
        """From the prior, which is nearly flat over an order of magnitude."""
        num = _DRAWS if num_pairs <= _FEW_PAIRS else _DRAWS_OF_MANY
        normal = np.random.default_rng(0).standard_normal((num, 5))
        return cls(*np.exp(np.log(_MIDDLE) + normal * _LOG_SD).T)


@dataclass(frozen=True, eq=False)
class Fit:
    """Predictions for all pairs (N,): a mixture of Student's t over M settings.

    weight (M,): posterior probability of each setting; value, sd (M, N); covariance (N, N): of all
    pairs, including their own part, averaged over settings; num_pairs: measured. left_*: the
    leave-one-out predictions of the measured pairs (n,).
    """

    weight: Floats
    value: Floats
    sd: Floats
    covariance: Floats
    num_pairs: int
    left_weight: Floats  # (M, n)
    left_value: Floats
    left_sd: Floats

    def predicted(self) -> Floats:
        """The mean of every pair, (N,)."""
        return np.asarray(self.weight @ self.value)

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Both ends of the central interval of every pair, (N,)."""
        weight = np.broadcast_to(self.weight[:, None], self.value.shape)
        return _interval(weight, self.value, self.sd, self.num_pairs - 1, confidence)

    def left_out(self) -> Floats:
        """The leave-one-out prediction of each measured pair, (n,)."""
        return np.asarray((self.left_weight * self.left_value).sum(axis=0))

    def left_interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Its interval, (n,)."""
        freedom = self.num_pairs - 2
        return _interval(self.left_weight, self.left_value, self.left_sd, freedom, confidence)


def fit(values: Floats, languages: Languages) -> Fit:
    """Fit to values (N,), NaN where a pair was not measured; at least `MIN_PAIRS` must be."""
    there = np.isfinite(values)
    y, num = values[there], int(there.sum())
    spreads = Spreads.drawn(num)
    alike = _Alike.of(languages)
    parts = [
        _one_way(alike.covariance(spreads, way), there, y) for way in range(len(spreads.length))
    ]
    log_density = np.array([one.log_density for one in parts])
    weight = _normalised(log_density)
    value, sd, left_value, left_sd = (
        np.stack([getattr(one, name) for one in parts])
        for name in ("value", "sd", "left_value", "left_sd")
    )
    # p(others) = p(all) / p(this one | others).
    t = (y - left_value) / left_sd
    freedom = num - 2
    of_one = -np.log(left_sd) - (freedom + 1) / 2 * np.log1p(t**2 / freedom)
    left_weight = _normalised(log_density[:, None] - of_one)
    covariance = np.zeros((len(values), len(values)))
    for share, one in zip(weight, parts, strict=True):
        covariance += share * one.covariance
    return Fit(weight, value, sd, covariance, num, left_weight, left_value, left_sd)


def assumed_covariance(languages: Languages) -> Floats:
    """Prior covariance (N, N) of pairs when none is measured, in units of a pair's own variance;
    the mean is taken to be as uncertain as a source effect."""
    middle = Spreads(*np.array(_MIDDLE)[:, None])
    return np.asarray(_Alike.of(languages).covariance(middle, 0) + 1.0)


@dataclass(frozen=True, eq=False)
class _Way:
    log_density: float
    value: Floats
    sd: Floats
    covariance: Floats
    left_value: Floats
    left_sd: Floats


def _one_way(total: Floats, there: npt.NDArray[np.bool_], y: Floats) -> _Way:
    """Generalised least squares for the mean, kriging for the rest; the scale integrated out under
    the prior 1 / scale."""
    known = total[np.ix_(there, there)]
    inverse = np.linalg.inv(known)
    told = inverse.sum(axis=1)
    ones = float(told.sum())
    precision = inverse - np.outer(told, told) / ones
    from_mean = precision @ y
    squares = float(y @ from_mean)
    freedom = len(y) - 1
    log_density = -(np.linalg.slogdet(known)[1] + np.log(ones) + freedom * np.log(squares)) / 2
    mean = float(told @ y) / ones
    # Measured pairs are known; the rest are predicted.
    gone = ~there
    weights = total[np.ix_(gone, there)] @ inverse
    missed = 1 - weights.sum(axis=1)
    left = total[np.ix_(gone, gone)] - weights @ total[np.ix_(there, gone)]
    covariance = np.zeros(total.shape)
    covariance[np.ix_(gone, gone)] = (left + np.outer(missed, missed) / ones) * squares / freedom
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    diagonal = np.diag(precision)
    residual = from_mean / diagonal
    rest = squares - from_mean * residual  # the sum of squares of the others alone
    left_sd = np.sqrt(np.maximum(rest, 1e-300) / (freedom - 1) / diagonal)
    value = np.empty(len(there))
    value[there], value[gone] = y, mean + weights @ (y - mean)
    return _Way(float(log_density), value, sd, covariance, y - residual, left_sd)


@dataclass(frozen=True, eq=False)
class _Alike:
    """Structure that pairs share, independent of the variances; each (N, N), distances (L, L)."""

    source: Floats
    target: Floats
    slope: Floats
    languages: Languages

    @classmethod
    def of(cls, languages: Languages) -> _Alike:
        slope = languages.of_pairs()
        return cls(
            (languages.source[:, None] == languages.source).astype(float),
            (languages.target[:, None] == languages.target).astype(float),
            np.outer(slope, slope),
            languages,
        )

    def covariance(self, spreads: Spreads, way: int) -> Floats:
        """Covariance (N, N) of pairs in units of their own variance, which is included; without
        that of the mean."""
        source, target = self.languages.source, self.languages.target
        likeness = _likeness(self.languages.distance, float(spreads.length[way]))
        found: Floats = spreads.source[way] ** 2 * self.source
        found += spreads.target[way] ** 2 * self.target
        found += spreads.slope[way] ** 2 * self.slope
        near = likeness[source][:, source] * likeness[target][:, target]
        found += spreads.likeness[way] ** 2 * near
        found[np.diag_indices(len(source))] += 1
        return found


def _normalised(log_density: Floats) -> Floats:
    weight = np.exp(log_density - log_density.max(axis=0))
    return np.asarray(weight / weight.sum(axis=0))


def _interval(
    weight: Floats, value: Floats, sd: Floats, freedom: int, confidence: float
) -> tuple[Floats, Floats]:
    """Interval ends of mixtures (M, P) of Student's t, by bisection."""
    far = 50 * sd.max(axis=0)
    ends = []
    for share in ((1 - confidence) / 2, (1 + confidence) / 2):
        low, high = value.min(axis=0) - far, value.max(axis=0) + far
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            z = np.divide(middle - value, sd, out=np.zeros_like(value), where=sd > 0)
            under = (weight * stdtr(freedom, z)).sum(axis=0) < share
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        ends.append((low + high) / 2)
    return ends[0], ends[1]


def languages_of(
    pairs: Sequence[tuple[str, str]], distance: dict[tuple[str, str], float]
) -> Languages:
    """The pairs (source, target) with the known distances between languages."""
    names = sorted({name for pair in pairs for name in pair})
    place = {name: number for number, name in enumerate(names)}
    square = np.array([[distance.get((one, other), np.nan) for other in names] for one in names])
    np.fill_diagonal(square, 0.0)
    return Languages(
        np.array([place[source] for source, _ in pairs], dtype=int),
        np.array([place[target] for _, target in pairs], dtype=int),
        square,
    )


def _likeness(distance: Floats, length: float) -> Floats:
    """exp(-distance / length) (L, L), 0 where unknown, projected to a valid covariance (the
    distances need not be Euclidean)."""
    raw = np.nan_to_num(np.exp(-distance / length))
    values, vectors = np.linalg.eigh((raw + raw.T) / 2)
    if values[0] >= 0:
        return raw
    kept = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = np.sqrt(np.diag(kept))
    return np.asarray(kept / np.outer(scale, scale))
