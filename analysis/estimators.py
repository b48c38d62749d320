"""Estimators of D_E: how many bytes would the scratch model need to reach a loss?

An estimator is one function from a ladder, losses and D_F to an `Estimate`, registered in
`ESTIMATORS` under the name that stands in every output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from analysis.ladder import Floats, Ladder
from raydt.errors import bad


class Range(IntEnum):
    """Where an answer lies; outside the ladder its bytes are a bound and not an estimate."""

    BELOW = -1  # D_E is less than the smallest rung
    INSIDE = 0
    ABOVE = 1  # D_E is more than the largest rung

    @property
    def word(self) -> str:
        """The value of the column `range`."""
        return self.name.lower()


@dataclass(frozen=True)
class Estimate:
    """D_E in bytes and its `Range`, both of the shape of the losses (...)."""

    effective_bytes: Floats
    range: npt.NDArray[np.int8]


Estimator = Callable[[Ladder, Floats, float], Estimate]


def log_loss_at(ladder: Ladder, num_bytes: float) -> Floats:
    """The monotone ladder's log loss at a size, shape (...); NaN outside the ladder."""
    monotone = ladder.monotone()
    rungs = ladder.num_bytes
    if not rungs[0] <= num_bytes <= rungs[-1]:
        return np.full(monotone.shape[:-1], np.nan)
    right = int(np.searchsorted(rungs, num_bytes))
    if rungs[right] == num_bytes:
        return np.asarray(monotone[..., right])
    share = np.log(num_bytes / rungs[right - 1]) / np.log(rungs[right] / rungs[right - 1])
    left = monotone[..., right - 1]
    return np.asarray(left + share * (monotone[..., right] - left))


def loglog(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """Log loss interpolated linearly over log bytes of the monotone ladder.

    D_E is the fewest bytes at which the monotone ladder is at or under the loss. On a flat
    stretch (pooled rungs, or a tie) every size of the stretch has the loss; if D_F is one of them
    the answer is D_F itself, since a finetune that only equals scratch has transferred nothing.
    With this the sign of D_T is that of the monotone scratch loss at D_F minus the finetuned loss.

    Shapes: ladder.log_loss (..., K), log_loss (...), in log nats per byte; finetune_bytes is D_F.
    """
    rungs = ladder.num_bytes
    log_loss = np.asarray(log_loss, dtype=float)
    monotone = np.broadcast_to(ladder.monotone(), (*log_loss.shape, len(rungs)))
    place = np.zeros(log_loss.shape, dtype=np.int8)
    place[log_loss > monotone[..., 0]] = Range.BELOW
    place[log_loss < monotone[..., -1]] = Range.ABOVE

    reached = monotone <= log_loss[..., None]
    right = np.where(reached.any(axis=-1), reached.argmax(axis=-1), len(rungs) - 1)
    left = np.maximum(right - 1, 0)
    above = np.take_along_axis(monotone, left[..., None], axis=-1)[..., 0]
    under = np.take_along_axis(monotone, right[..., None], axis=-1)[..., 0]
    drop = above - under
    share = np.divide(above - log_loss, drop, out=np.ones_like(drop), where=drop > 0)
    share = np.clip(share, 0.0, 1.0)  # beyond only off the ladder, where the answer is a bound
    crossing = rungs[left] * np.exp(share * np.log(rungs[right] / rungs[left]))
    # Rounding must not carry a crossing over its rung: the sign of D_T hangs on it.
    effective = np.where(share >= 1, rungs[right], np.minimum(crossing, rungs[right]))

    effective = np.where(log_loss_at(ladder, finetune_bytes) == log_loss, finetune_bytes, effective)
    effective = np.where(place == Range.BELOW, rungs[0], effective)
    effective = np.where(place == Range.ABOVE, rungs[-1], effective)
    return Estimate(effective, place)


ESTIMATORS: dict[str, Estimator] = {"loglog": loglog}


def estimator_named(name: str) -> Estimator:
    """The estimator of a name; `InputError` that lists the names if there is none."""
    if name not in ESTIMATORS:
        raise bad("estimator", "one of " + ", ".join(sorted(ESTIMATORS)), repr(name))
    return ESTIMATORS[name]
