"""The smooth curve through a ladder: a monotone cubic, in coordinates that straighten a law.

A scratch ladder is convex in log loss over log bytes, and linear interpolation between rungs a
factor of four apart overestimates a D_E just above D_F by up to a third, whatever the number of
seeds. A monotone cubic (PCHIP) follows the curvature. Over the log loss that a fitted law
L = E + B·D^-beta has at each size, instead of over log bytes, it is exact where the ladder follows
the law; elsewhere the law is only an axis, and the curve still passes through every rung and never
rises between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from scipy.interpolate import PchipInterpolator

from analysis.arrays import Floats
from analysis.ladder import Ladder

MIN_RUNGS = 3  # fewer, and any law fits
_BETAS = np.geomspace(0.01, 3.0, 300)
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class Axis:
    """A coordinate that increases with bytes: -log of the law, or log bytes if B is 0."""

    E: float = 0.0
    B: float = 0.0
    beta: float = 0.0

    def of(self, num_bytes: Floats) -> Floats:
        """The coordinate of sizes in bytes."""
        if self.B == 0:
            return np.asarray(np.log(num_bytes))
        return np.asarray(-np.log(self.E + self.B * num_bytes**-self.beta))

    def num_bytes(self, coordinate: Floats) -> Floats:
        """The sizes in bytes of coordinates."""
        if self.B == 0:
            return np.asarray(np.exp(coordinate))
        with np.errstate(divide="ignore", invalid="ignore"):
            reducible = np.exp(-coordinate) - self.E
            return np.where(reducible > 0, (reducible / self.B) ** (-1 / self.beta), np.inf)


LOG_BYTES = Axis()
_axes: WeakKeyDictionary[Ladder, Axis] = WeakKeyDictionary()


def law_axis(ladder: Ladder) -> Axis:
    """The axis of the law fitted to a ladder (to the mean of its resamples, which share it).

    Least squares of relative residuals, E and B not negative, beta on a grid.
    """
    found = _axes.get(ladder)
    if found is None:
        found = _axes[ladder] = _fitted(ladder)
    return found


def _fitted(ladder: Ladder) -> Axis:
    rungs = ladder.num_bytes
    if len(rungs) < MIN_RUNGS:
        return LOG_BYTES
    loss = np.exp(ladder.monotone().reshape(-1, len(rungs)).mean(axis=0))
    centre = np.exp(np.log(rungs).mean())
    one = np.sqrt(ladder.num_seeds) / loss
    y = loss * one
    x = one * (rungs / centre) ** -_BETAS[:, None]  # (betas, K)
    xx, x1, ones, xy, y1 = (x * x).sum(axis=1), x @ one, one @ one, x @ y, y @ one
    E = np.clip((xx * y1 - x1 * xy) / (xx * ones - x1 * x1), 0.0, y1 / ones)
    B = np.maximum((xy - E * x1) / xx, 0.0)
    error = ((y - E[:, None] * one - B[:, None] * x) ** 2).sum(axis=1)
    best = int(error.argmin())
    beta = float(_BETAS[best])
    axis = Axis(float(E[best]), float(B[best] * centre**beta), beta)
    if axis.B == 0 or not (np.diff(axis.of(rungs)) > 1e-9).all():
        return LOG_BYTES
    return axis


def log_loss_on(monotone: Floats, rungs: Floats, axis: Axis, num_bytes: float) -> Floats:
    """Log loss of the curve through monotone rungs (..., K) at a size between them, (...)."""
    right = int(np.searchsorted(rungs, num_bytes))
    if rungs[right] == num_bytes:
        return np.asarray(monotone[..., right])
    cubic = PchipInterpolator(axis.of(rungs), np.moveaxis(monotone, -1, 0), axis=0)
    between = cubic(float(axis.of(np.asarray(num_bytes))))
    # Rounding must not carry it past either rung.
    return np.asarray(np.clip(between, monotone[..., right], monotone[..., right - 1]))


def bytes_on(monotone: Floats, rungs: Floats, axis: Axis, log_loss: Floats) -> Floats:
    """The smallest number of bytes at which the curve through monotone rungs is at or below a loss.

    monotone (..., K) with leading axes that broadcast with log_loss (...). A loss beyond the ladder
    gives its edge.
    """
    at = axis.of(rungs)
    cubic = PchipInterpolator(at, np.moveaxis(monotone, -1, 0), axis=0).c  # (4, K - 1, ...)
    right = first_reached(monotone, log_loss)
    left = np.maximum(right - 1, 0)
    pieces = np.moveaxis(cubic, (0, 1), (-1, -2))
    pieces = np.broadcast_to(pieces, (*log_loss.shape, *pieces.shape[-2:]))
    mine = np.take_along_axis(pieces, left[..., None, None], axis=-2)[..., 0, :]
    a, b, c, d = (mine[..., place] for place in range(4))
    width = at[left + (right > 0)] - at[left]
    under = np.take_along_axis(
        np.broadcast_to(monotone, (*log_loss.shape, len(rungs))), right[..., None], axis=-1
    )[..., 0]
    # Newton's method within a bracket: the piece falls from d to `under`.
    low, high = np.zeros(log_loss.shape), width * np.ones(log_loss.shape)
    drop = d - under
    share = np.divide(d - log_loss, drop, out=np.ones_like(drop), where=drop > 0)
    step = np.clip(share, 0.0, 1.0) * width
    for _ in range(_NEWTON_STEPS):
        gap = ((a * step + b) * step + c) * step + d - log_loss
        low, high = np.where(gap > 0, step, low), np.where(gap > 0, high, step)
        slope = (3 * a * step + 2 * b) * step + c
        tried = step - np.divide(gap, slope, out=np.full_like(gap, np.nan), where=slope < 0)
        tried = np.where((tried >= low) & (tried <= high), tried, (low + high) / 2)
        moved = np.abs(tried - step).max(initial=0.0)
        step = tried
        if moved <= 1e-14 * float(at[-1] - at[0]):
            break
    found = axis.num_bytes(at[left] + step)
    found = np.clip(found, rungs[left], rungs[right])
    # Exactly the rung: the sign of D_T depends on it.
    return np.asarray(np.where(under >= log_loss, rungs[right], found))


def interpolation_error(ladder: Ladder, log_loss: Floats) -> Floats:
    """The interpolation error of log D_E for losses (...) between the rungs of a ladder (K,); 0 at
    rungs.

    A standard deviation: the distance of the curve from two others through the same rungs, the
    cubic over log bytes and that of the coordinate over log loss. 0 for laws; for sigmoids and
    ladders limited by steps about as large as the actual error (docs/statistics.md).
    """
    monotone, rungs = ladder.monotone(), ladder.num_bytes
    distinct = np.append(np.diff(monotone) < 0, True)
    if distinct.sum() < MIN_RUNGS:
        return np.zeros(log_loss.shape)
    axis = law_axis(ladder)
    within = np.clip(log_loss, monotone[-1], monotone[0])
    curve = np.log(bytes_on(monotone, rungs, axis, within))
    other = np.log(bytes_on(monotone, rungs, LOG_BYTES, within))
    turned = PchipInterpolator(monotone[distinct][::-1], axis.of(rungs[distinct])[::-1])
    with np.errstate(divide="ignore"):
        inverse = np.log(np.clip(axis.num_bytes(turned(within)), rungs[0], rungs[-1]))
    return np.asarray(np.hypot(curve - other, curve - inverse))


def first_reached(monotone: Floats, log_loss: Floats) -> np.ndarray:
    """The first rung at or below a loss, in the shape of the losses; the last if there is none."""
    reached = monotone <= log_loss[..., None]
    none = reached.shape[-1] - 1
    return np.asarray(np.where(reached.any(axis=-1), reached.argmax(axis=-1), none))
