"""Linear regression on outcomes of which some are only bounds (Tobit), many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from analysis.arrays import Floats
from analysis.laws.draws import Places

# Added to the residual sum of squares, in squared units of log bytes: without it a line that meets
# all points and respects all bounds has an infinite likelihood.
_FLOOR = 1e-4**2
_MAX_STEPS = 60


@dataclass(frozen=True)
class CensoredFit:
    """Coefficients (R, p), standard deviation of the residuals (R,), and the rows that settled.

    sigma is that of maximum likelihood; `covariance` (R, p, p) is the inverse of its information,
    both without a correction for p.
    """

    coefficients: Floats
    sigma: Floats
    covariance: Floats
    converged: npt.NDArray[np.bool_]


def censored_regression(
    design: Floats, outcome: Floats, place: Places, weights: Floats | None = None
) -> CensoredFit:
    """Maximum likelihood of outcome = design·coefficients + N(0, sigma²).

    design (n, p) or (R, n, p), outcome (R, n), place (R, n): 0 observed, -1 the true outcome is at
    most that (left-censored), 1 at least that (right-censored), any other value: no information.
    weights (R, n): how often each point counts, once if None.
    Newton's method in coefficients/sigma and 1/sigma, in which the likelihood is concave, so that
    there is one optimum and every start leads to it (Olsen, Econometrica 1978; Tobin 1958). Rows
    whose observed points do not determine the coefficients are NaN.
    """
    num_rows, _ = outcome.shape
    width = design.shape[-1]
    design = np.broadcast_to(design, (num_rows, *design.shape[-2:]))
    weights = np.ones(outcome.shape) if weights is None else weights
    exact = (place == 0) * weights
    outcome = np.where(np.abs(place) <= 1, outcome, 0.0)
    gram = np.einsum("rni,rn,rnj->rij", design, exact, design, optimize=True)
    determined = np.linalg.matrix_rank(gram, hermitian=True) == width
    coefficients = np.full((num_rows, width), np.nan)
    sigma = np.full(num_rows, np.nan)
    covariance = np.full((num_rows, width, width), np.nan)
    converged = np.zeros(num_rows, dtype=bool)
    rows = np.flatnonzero(determined)
    if not len(rows):
        return CensoredFit(coefficients, sigma, covariance, converged)

    right = np.einsum("rni,rn,rn->ri", design[rows], exact[rows], outcome[rows])
    line = np.linalg.solve(gram[rows], right[:, :, None])[:, :, 0]
    residual = outcome[rows] - np.einsum("rni,ri->rn", design[rows], line)
    observed = exact[rows].sum(axis=1)
    spread = np.sqrt(((exact[rows] * residual**2).sum(axis=1) + _FLOOR) / observed)
    coefficients[rows], sigma[rows], converged[rows] = line, spread, True
    covariance[rows] = np.linalg.inv(gram[rows]) * spread[:, None, None] ** 2

    bounded = rows[((np.abs(place[rows]) == 1) & (weights[rows] > 0)).any(axis=1)]
    if len(bounded):
        start = np.concatenate([coefficients[bounded], np.ones((len(bounded), 1))], axis=1)
        start /= sigma[bounded, None]
        found, information, settled = _newton(
            start, design[bounded], outcome[bounded], place[bounded], weights[bounded]
        )
        theta = found[:, -1]
        coefficients[bounded] = found[:, :-1] / theta[:, None]
        sigma[bounded], converged[bounded] = 1 / theta, settled
        # To the coefficients themselves by the delta method: b = g/theta.
        jacobian = np.zeros((len(bounded), width, width + 1))
        jacobian[:, :, :-1] = np.eye(width) / theta[:, None, None]
        jacobian[:, :, -1] = -coefficients[bounded] / theta[:, None]
        inverse = np.linalg.pinv(information, hermitian=True)
        covariance[bounded] = jacobian @ inverse @ jacobian.transpose(0, 2, 1)
    return CensoredFit(coefficients, sigma, covariance, converged)


def _newton(
    parameters: Floats, design: Floats, outcome: Floats, place: Places, weights: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Optimum (R, p + 1) of g = coefficients/sigma and theta = 1/sigma, its information, settled.

    All likelihoods are one in z = theta·outcome - design·g.
    """
    # (R, n, p + 1): derivative of z by the parameters.
    slopes = np.concatenate([-design, outcome[:, :, None]], axis=2)
    settled = np.zeros(len(parameters), dtype=bool)
    value, gradient, information = _likelihood(parameters, slopes, place, weights)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(
            information + 1e-12 * np.eye(parameters.shape[1]), gradient[:, :, None]
        )[:, :, 0]
        decrement = (step * gradient).sum(axis=1)
        settled = decrement < 1e-9
        if settled.all():
            break
        length = np.where(settled, 0.0, 1.0)
        for _ in range(40):
            tried = parameters + length[:, None] * step
            better = (tried[:, -1] > 0) & (
                _value(tried, slopes, place, weights) >= value + 1e-4 * length * decrement - 1e-12
            )
            if (better | settled).all():
                break
            length = np.where(better | settled, length, length / 2)
        parameters = np.where((better & ~settled)[:, None], tried, parameters)
        value, gradient, information = _likelihood(parameters, slopes, place, weights)
    return parameters, information, settled


def _value(parameters: Floats, slopes: Floats, place: Places, weights: Floats) -> Floats:
    z = np.einsum("rni,ri->rn", slopes, parameters)
    theta = np.maximum(parameters[:, -1], 1e-300)
    exact = place == 0
    terms = np.where(exact, np.log(theta)[:, None] - z**2 / 2, 0.0)
    terms += np.where(np.abs(place) == 1, log_ndtr(-place * z), 0.0)
    return np.asarray((weights * terms).sum(axis=1) - _FLOOR * theta**2 / 2)


def _likelihood(
    parameters: Floats, slopes: Floats, place: Places, weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log likelihood (R,), its gradient (R, q), and minus its Hessian (R, q, q)."""
    z = np.einsum("rni,ri->rn", slopes, parameters)
    theta = parameters[:, -1]
    exact, bound = place == 0, np.abs(place) == 1
    # d/dz log Phi(-place·z) = -place·m, with the inverse Mills ratio m at w = -place·z.
    w = -place * z
    mills = np.exp(-(w**2) / 2 - log_ndtr(w)) / np.sqrt(2 * np.pi)
    first = weights * np.where(exact, -z, np.where(bound, -place * mills, 0.0))
    second = weights * np.where(exact, 1.0, np.where(bound, mills * (mills + w), 0.0))
    gradient = np.einsum("rni,rn->ri", slopes, first)
    information = np.einsum("rni,rn,rnj->rij", slopes, second, slopes, optimize=True)
    observed = (weights * exact).sum(axis=1)
    gradient[:, -1] += observed / theta - _FLOOR * theta
    information[:, -1, -1] += observed / theta**2 + _FLOOR
    return _value(parameters, slopes, place, weights), gradient, information
