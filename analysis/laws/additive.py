"""The transfer law fitted where noise is additive: on log D_E, many at once.

Noise of log loss is symmetric in log D_E, and D_E is never negative; neither holds for log D_T. So
log(D_E / D_F) = log(1 ± D_T / D_F) + N(0, error²) with D_T = exp(design·coefficients): a finetune
that did harm, or whose D_T is lost in noise, is a point like any other, and nothing is selected by
outcome. A bound enters by its probability (Tobin, Econometrica 1958).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from analysis.arrays import Floats
from analysis.laws.draws import Places

EXPONENTS = (-3.0, 4.0)  # beyond this, a law depends on a single point
_STARTS = np.array(
    [
        (level, slope)
        for level in (-4, -2, -1, 0, 1, 2, 4)
        for slope in (-1.0, -0.5, 0.0, 0.3, 0.6, 1.0, 1.5)
    ]
)
_MAX_STEPS = 60
_MOST = 0.999999  # share of D_F that harm can take
_DESCRIBES = 8  # of misfit: four standard errors worse than another law


@dataclass(frozen=True)
class Points:
    """design (n, p), its first column 1; log_size (n,) of D_F; outcome (R, n) of log(D_E / D_F);
    place (R, n): 0 a value, -1 at most that, 1 at least that, else missing; error (n,); weights
    (R, n): how often each counts."""

    design: Floats
    log_size: Floats
    outcome: Floats
    place: Places
    error: Floats
    weights: Floats

    @cached_property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Which outcomes (R, n) are values."""
        return np.asarray(self.place == 0)

    @cached_property
    def precision(self) -> Floats:
        """Precision of values, (R, n); 0 for the others."""
        return self.exact / self.error**2

    @cached_property
    def bounded(self) -> npt.NDArray[np.intp]:
        """Flat indices of the outcomes that are bounds, (b,), like the next two."""
        return np.flatnonzero(np.abs(self.place) == 1)

    @cached_property
    def bound_place(self) -> Places:
        """The side of each bound on which the outcome lies."""
        return self.place.ravel()[self.bounded]

    @cached_property
    def bound_error(self) -> Floats:
        """The error of each bound."""
        return self.error[self.bounded % len(self.error)]

    @cached_property
    def outer(self) -> Floats:
        """Products of every two columns of the design, (n, p * p)."""
        return (self.design[:, :, None] * self.design[:, None, :]).reshape(len(self.design), -1)

    def expected(self, sign: int, coefficients: Floats) -> tuple[Floats, Floats]:
        """log(D_E / D_F) of the law (R, n), and its derivative by log D_T."""
        share = _between(coefficients @ self.design.T - self.log_size, -60.0, 60.0)
        if sign > 0:
            return np.logaddexp(0.0, share), 1 / (1 + np.exp(-share))
        lost = np.minimum(np.exp(share), _MOST)
        return np.log1p(-lost), -lost / (1 - lost)


@dataclass(frozen=True)
class Fit:
    """sign (R,) of D_T; coefficients (R, p); misfit (R,), minus the log likelihood up to a
    constant; covariance (p, p) of the first row."""

    sign: npt.NDArray[np.int8]
    coefficients: Floats
    misfit: Floats
    covariance: Floats


def fitted(points: Points, *, negative: bool = True) -> Fit:
    """Fits every row of the outcomes: the first from many starting points, the others from its
    solution.

    Levenberg-Marquardt steps with Fisher's information. negative: whether to try a law of harm; if
    it fits the first row badly it is not tried on the others.
    """
    first = _rows(points, slice(0, 1))
    centre = float(points.log_size.mean())
    starts = np.zeros((len(_STARTS), points.design.shape[1]))
    starts[:, 0] = centre + _STARTS[:, 0]
    starts[:, 1] = _STARTS[:, 1]
    many = Points(
        points.design,
        points.log_size,
        np.repeat(first.outcome, len(starts), axis=0),
        np.repeat(first.place, len(starts), axis=0),
        points.error,
        np.repeat(first.weights, len(starts), axis=0),
    )
    best: dict[int, tuple[float, Floats]] = {}
    for sign in (1, -1) if negative else (1,):
        if best and _least_misfit(first, sign) > best[1][0] + _DESCRIBES + 1e-6:
            continue  # no starting point would help: it would be dropped below
        found, misfit = _descend(many, sign, starts)
        best[sign] = float(misfit.min()), found[int(misfit.argmin())]
    lead = min(best, key=lambda sign: best[sign][0])
    rows = []
    for sign, (misfit_there, start) in best.items():
        if misfit_there > best[lead][0] + _DESCRIBES:
            continue
        begin = np.repeat(start[None], len(points.outcome), axis=0)
        rows.append((sign, *_descend(points, sign, begin)))
    chosen = np.argmin([misfit for _, _, misfit in rows], axis=0)
    at = np.arange(len(points.outcome))
    sign = np.array([one for one, _, _ in rows], dtype=np.int8)[chosen]
    coefficients = np.stack([found for _, found, _ in rows])[chosen, at]
    misfit = np.stack([one for _, _, one in rows])[chosen, at]
    _, _, information = _likelihood(first, int(sign[0]), coefficients[:1])
    covariance = np.linalg.pinv(information[0], hermitian=True)
    return Fit(sign, coefficients, misfit, covariance)


def _rows(points: Points, rows: slice | npt.NDArray[np.bool_]) -> Points:
    return Points(
        points.design,
        points.log_size,
        points.outcome[rows],
        points.place[rows],
        points.error,
        points.weights[rows],
    )


def _descend(points: Points, sign: int, start: Floats) -> tuple[Floats, Floats]:
    """Coefficients and misfit of each row; converged rows take no more steps."""
    found, misfits = start.copy(), np.empty(len(start))
    # The rows that have not converged, and their state.
    left, here = np.arange(len(start)), start.copy()
    misfit, gradient, information = _likelihood(points, sign, here)
    damping = np.full(len(start), 1e-3)
    width = start.shape[1]
    eye = np.eye(width)
    for _ in range(_MAX_STEPS):
        scale = information.reshape(len(left), -1)[:, :: width + 1]  # the diagonals
        scale = np.maximum(scale, 1e-9 * scale.max(axis=1, keepdims=True) + 1e-12)
        damped = information + eye * (damping[:, None] * scale)[:, :, None]
        step = np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        tried = here + _between(step, -2.0, 2.0)
        tried[:, 1:] = _between(tried[:, 1:], *EXPONENTS)
        there, slope, curve = _likelihood(points, sign, tried)
        better = there <= misfit
        gain = misfit - there
        here, gradient = np.where(better[:, None], (tried, slope), (here, gradient))
        information = np.where(better[:, None, None], curve, information)
        misfit = np.where(better, there, misfit)
        damping = np.where(better, np.maximum(damping / 8, 1e-10), np.minimum(damping * 6, 1e8))
        settled = (better & (gain <= 1e-8 * (1 + there))) | (damping >= 1e6)
        if settled.any():
            found[left[settled]], misfits[left[settled]] = here[settled], misfit[settled]
            goes_on = ~settled
            if not goes_on.any():
                return found, misfits
            left, damping, points = left[goes_on], damping[goes_on], _rows(points, goes_on)
            here, misfit = here[goes_on], misfit[goes_on]
            gradient, information = gradient[goes_on], information[goes_on]
    found[left], misfits[left] = here, misfit
    return found, misfits


def _between(values: Floats, low: float, high: float) -> Floats:
    """`np.clip` without its overhead, which dominates for a few numbers."""
    return np.asarray(np.minimum(np.maximum(values, low), high))


def _least_misfit(points: Points, sign: int) -> float:
    """A lower bound of the first row's misfit for laws of this sign: such a law cannot be on the
    other side of D_F, and points there are at least as far from it as from D_F."""
    other_side = sign * points.outcome[:1] < 0
    z = np.where(other_side, points.outcome[:1] / points.error, 0.0)
    bound = np.where(points.place[:1] == -sign, -log_ndtr(-np.abs(z)), 0.0)
    misfit = np.where(points.place[:1] == 0, z**2 / 2, np.where(other_side, bound, 0.0))
    return float((points.weights[:1] * misfit).sum())


def _likelihood(points: Points, sign: int, coefficients: Floats) -> tuple[Floats, Floats, Floats]:
    """Misfit (R,), minus its gradient (R, p), and Fisher's information (R, p, p)."""
    mean, slope = points.expected(sign, coefficients)
    z = (points.outcome - mean) / points.error
    misfit = np.where(points.exact, z**2 / 2, 0.0)
    score = np.where(points.exact, z, 0.0) / points.error
    known = points.precision
    if len(points.bounded):
        # The true outcome is beyond the bound with probability Phi(-place·z).
        at, place, error = points.bounded, points.bound_place, points.bound_error
        w = _between(-place * z.ravel()[at], -1e4, 1e4)
        log_p = log_ndtr(w)
        mills = np.exp(-(w**2) / 2 - log_p) / np.sqrt(2 * np.pi)
        known = known.copy()
        misfit.ravel()[at] = -log_p
        score.ravel()[at] = place * mills / error
        known.ravel()[at] = mills * (mills + w) / error**2
    pulled = points.weights * score * slope
    weight = points.weights * known * slope**2
    gradient = pulled @ points.design
    width = points.design.shape[1]
    information = (weight @ points.outer).reshape(-1, width, width)
    return (points.weights * misfit).sum(axis=1), gradient, information
