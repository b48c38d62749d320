"""A cell's validation losses over the bytes it has seen, made monotone and interpolated.

The value of a cell at any time is its best loss so far (the checkpoint one would keep), so a curve
is the running minimum: non-increasing, whatever the noise of an evaluation. Between evaluations log
loss is linear in log bytes, which is exact for a power law and otherwise, with evaluations a fifth
apart, off by less than the noise. Before the first evaluation of trained weights it is linear in
bytes, because 0 has no logarithm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats

FEWEST_EVALUATIONS = 2  # of trained weights: one is a point, not a curve


@dataclass(frozen=True, eq=False)
class Curve:
    """The running minimum of one cell's validation loss.

    num_bytes: (K,) bytes seen, ascending; the first may be 0 (before any training).
    log_loss: (K,) log of nats per byte, non-increasing.
    """

    num_bytes: Floats
    log_loss: Floats

    @property
    def end_bytes(self) -> float:
        """Where it ends."""
        return float(self.num_bytes[-1])

    def log_loss_at(self, num_bytes: Floats) -> Floats:
        """Log of nats per byte after `num_bytes`, (P,): infinite before the first evaluation, the
        last value beyond the end."""
        return np.asarray(log_losses_at([self], num_bytes)[0])


def log_losses_at(curves: Sequence[Curve], num_bytes: Floats) -> Floats:
    """`log_loss_at` of several curves, (curves, P), which share the logarithms of the bytes."""
    # Bytes are clipped to the first evaluation, so no logarithm of 0 is taken.
    log_bytes = np.log(np.maximum(num_bytes, np.finfo(float).tiny))
    return np.stack([_log_loss_at(curve, num_bytes, log_bytes) for curve in curves])


def _log_loss_at(curve: Curve, num_bytes: Floats, log_bytes: Floats) -> Floats:
    seen, loss = curve.num_bytes, curve.log_loss
    first = 1 if seen[0] == 0 else 0
    log_seen = np.log(seen[first:])
    trained = np.interp(np.maximum(log_bytes, log_seen[0]), log_seen, loss[first:])
    if first == 0:
        return np.where(num_bytes < seen[0], np.inf, trained)
    before = np.interp(num_bytes, seen[:2], loss[:2])
    before = np.where(num_bytes < 0, np.inf, before)
    return np.where(num_bytes < seen[1], before, trained)


def curve_of(points: Iterable[tuple[float, float]]) -> Curve | None:
    """The curve through (bytes seen, nats per byte), in any order; None with fewer than
    `FEWEST_EVALUATIONS` of trained weights.

    Losses that are not positive and finite, and bytes below 0, are left out; of two losses at the
    same bytes the lower counts.
    """
    usable = sorted((b, loss) for b, loss in points if b >= 0 and 0 < loss < np.inf)
    best: dict[float, float] = {}
    lowest = np.inf
    for num_bytes, loss in usable:
        lowest = min(lowest, loss)
        best[num_bytes] = lowest
    if sum(num_bytes > 0 for num_bytes in best) < FEWEST_EVALUATIONS:
        return None
    return Curve(np.array(list(best), dtype=float), np.log(list(best.values())))
