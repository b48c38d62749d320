"""Variable projection for E + B·x^-beta: beta is searched, E and B follow (least squares, >= 0)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats

BETA_BOUNDS = (0.005, 3.0)
_BETA_GRID = np.geomspace(*BETA_BOUNDS, 80)
_GOLDEN = (np.sqrt(5) - 1) / 2
_GOLDEN_STEPS = 36  # narrows two grid steps to 1e-8 of beta


@dataclass(frozen=True)
class Projected:
    """Best parameters of every row of losses, each of shape (R,); sizes as they were given."""

    E: Floats
    B: Floats
    beta: Floats
    at_bound: npt.NDArray[np.bool_]  # beta at an end of its search range


def project(size: Floats, losses: Floats, weights: Floats, *, irreducible: bool) -> Projected:
    """Fit every row of losses (R, K) over sizes (K,) by weighted relative least squares.

    For a given beta the law is linear in E and B (Golub and Pereyra 1973), so only beta is
    searched: on a grid, then by golden section around its best point, all rows at once. There is no
    starting point to choose. Rows are scaled by their mean loss profile, so that residuals are
    relative, which equals residuals of log loss to first order.
    """
    # Bytes relative to their geometric mean, so that B stays of the order of the loss for any beta.
    centre = float(np.exp(np.log(size).mean()))
    x = np.log(size / centre)
    scale = np.sqrt(weights / weights.sum()) / np.exp(np.log(losses).mean(axis=0))
    y = losses * scale
    grid = _BETA_GRID
    errors = np.stack(
        [_error(np.full(len(y), beta), x, y, scale, irreducible)[2] for beta in grid], axis=1
    )
    best = errors.argmin(axis=1)
    low = np.log(grid[np.maximum(best - 1, 0)])
    high = np.log(grid[np.minimum(best + 1, len(grid) - 1)])
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = (
        _error(np.exp(point), x, y, scale, irreducible)[2] for point in (left, right)
    )
    for _ in range(_GOLDEN_STEPS):
        down = at_left <= at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        width = _GOLDEN * (high - low)
        point = np.where(down, high - width, low + width)
        at_point = _error(np.exp(point), x, y, scale, irreducible)[2]
        left, right = np.where(down, point, right), np.where(down, left, point)
        at_left, at_right = np.where(down, at_point, at_right), np.where(down, at_left, at_point)
    beta = np.exp((low + high) / 2)
    E, B, _ = _error(beta, x, y, scale, irreducible)
    at_bound = (beta < BETA_BOUNDS[0] * 1.01) | (beta > BETA_BOUNDS[1] / 1.01)
    return Projected(E, B * centre**beta, beta, at_bound)


def _error(
    beta: Floats, x: Floats, y: Floats, one: Floats, irreducible: bool
) -> tuple[Floats, Floats, Floats]:
    """Best E, B >= 0 for one beta per row, and the squared error; all (R,), y (R, K)."""
    power = np.exp(-beta[:, None] * x) * one
    xx, xy = (power * power).sum(axis=1), (power * y).sum(axis=1)
    # The optimum under E, B >= 0 is the free one, or lies on one of the two edges; losses and
    # rows are positive, so an edge's own solution is never negative.
    E, B = np.zeros(len(y)), xy / xx
    if irreducible:
        x1, ones, y1 = power @ one, float(one @ one), y @ one
        determinant = xx * ones - x1 * x1
        free_E = (xx * y1 - x1 * xy) / determinant
        free_B = (ones * xy - x1 * y1) / determinant
        flat = free_B < 0
        inside = (free_E >= 0) & ~flat
        E = np.where(inside, free_E, np.where(flat, y1 / ones, E))
        B = np.where(inside, free_B, np.where(flat, 0.0, B))
    residual = y - E[:, None] * one - B[:, None] * power
    return E, B, np.asarray((residual**2).sum(axis=1))
