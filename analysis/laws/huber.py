"""The cross-check of a ladder law: Huber loss on log residuals from many starting points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats

DELTA = 1e-3  # of log loss, as in the source
_BETAS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2)
_E_SHARES = (0.02, 0.3, 0.6, 0.9, 0.99)  # of the lowest loss
_STEPS = 200
_SETTLED_STEPS = 8  # in a row in which no start improved by more than 1e-6 of its objective
_REACHED = 1e-2  # a start reached the optimum if its objective is within this share of it


@dataclass(frozen=True)
class HuberFit:
    """The best of all starts; num_reached of num_starts ended at its objective."""

    E: float
    B: float
    beta: float
    objective: float
    num_starts: int
    num_reached: int


def huber_fit(size: Floats, loss: Floats, weights: Floats, *, irreducible: bool) -> HuberFit:
    """Minimise the sum of Huber(log(E + B·D^-beta) - log loss) over log E, log B and beta.

    size, loss, weights: (K,). Levenberg-Marquardt on reweighted residuals, all starts at once.
    Source: Hoffmann et al. 2022 (arXiv 2203.15556), their parametric fit; there L-BFGS.
    """
    centre = float(np.exp(np.log(size).mean()))
    x, y = np.log(size / centre), np.log(loss)
    weights = weights / weights.mean()
    middle = float(loss.max() + loss.min()) / 2
    starts = []
    for beta in _BETAS:
        for share in _E_SHARES if irreducible else (0.0,):
            E = share * float(loss.min())
            rest = max(middle - E, 1e-3 * middle)
            starts += [(np.log(max(E, 1e-12)), np.log(rest * factor), beta) for factor in (0.5, 2)]
    theta = np.array(starts)  # (S, 3)
    damping = np.full(len(theta), 1e-2)
    residual, jacobian = _linearised(theta, x, y, irreducible)
    objective = _objective(residual, weights)
    still = 0
    for _ in range(_STEPS):
        reweighted = weights * np.minimum(1.0, DELTA / np.maximum(np.abs(residual), 1e-300))
        normal = np.einsum("ski,sk,skj->sij", jacobian, reweighted, jacobian)
        gradient = np.einsum("ski,sk,sk->si", jacobian, reweighted, residual)
        diagonal = np.einsum("sii->si", normal)
        ridge = damping[:, None] * diagonal + 1e-14
        system = normal + ridge[:, :, None] * np.eye(theta.shape[1])
        step = np.linalg.solve(system, gradient[:, :, None])[:, :, 0]
        proposed = theta - np.clip(step, -2.0, 2.0)
        proposed[:, 2] = np.maximum(proposed[:, 2], 1e-4)
        new_residual, new_jacobian = _linearised(proposed, x, y, irreducible)
        new_objective = _objective(new_residual, weights)
        better = new_objective < objective
        still = 0 if (new_objective < objective * (1 - 1e-6)).any() else still + 1
        theta = np.where(better[:, None], proposed, theta)
        residual = np.where(better[:, None], new_residual, residual)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        objective = np.where(better, new_objective, objective)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-12, 1e8)
        if still == _SETTLED_STEPS:
            break
    best = int(objective.argmin())
    # On rungs that follow the law exactly the objective is rounding error, hence an absolute
    # tolerance.
    reached = objective <= objective[best] * (1 + _REACHED) + 1e-3 * DELTA**2
    e, b, beta = (float(value) for value in theta[best])
    return HuberFit(
        float(np.exp(e)) if irreducible else 0.0,
        float(np.exp(b)) * centre**beta,
        beta,
        float(objective[best]),
        len(theta),
        int(reached.sum()),
    )


def _linearised(theta: Floats, x: Floats, y: Floats, irreducible: bool) -> tuple[Floats, Floats]:
    """Residuals of log loss (S, K) and their derivatives (S, K, 3)."""
    power = theta[:, 1, None] - theta[:, 2, None] * x
    if irreducible:
        fitted = np.logaddexp(theta[:, 0, None], power)
        share = np.exp(theta[:, 0, None] - fitted)  # of E in the loss
    else:
        fitted, share = power, np.zeros_like(power)
    jacobian = np.stack([share, 1 - share, -(1 - share) * x], axis=-1)
    return fitted - y, jacobian


def _objective(residual: Floats, weights: Floats) -> Floats:
    size = np.abs(residual)
    huber = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2))
    return np.asarray((weights * huber).sum(axis=1))
