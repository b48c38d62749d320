"""Early stopping of trials that train until convergence.

Rungs are at 2/3, 4/3, 8/3, ... of the bytes that the baseline of the same language and size trained
on. At a rung, a trial's lag is its log loss minus the baseline's at equal bytes. The trial is
stopped if

- at least three other trials of its stage and size have reached this rung (or ended before it),
- its lag is above their median, and
- it would end no better than the baseline, the price of its bytes included, even if the next
  doubling of its bytes reduced the loss as much as the last one did.

The third condition is there because a strong weight decay or a small learning rate learns slowly
and ends better. Such a trial is far behind at the rung but its loss still falls fast; the loss of a
bad trial does not. After the first epochs the gains per doubling shrink along a curve, so the last
gain bounds the next. The median keeps half of a study even if nothing is better than the baseline:
the rule is fitted to trials that were not stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from raydt.tuning.score import Curve, last_doubling, standing
from raydt.tuning.trial import End, Finished

FIRST_RUNG = 2 / 3  # of the bytes of the baseline
_MIN_OTHERS = 3


def rungs_passed(curve: Curve, baseline: Finished) -> int:
    """The number of rungs that a trial has reached."""
    seen = curve[-1][0] if curve else 0
    first = FIRST_RUNG * baseline.bytes_seen
    return 0 if seen < first else 1 + math.floor(math.log2(seen / first))


def rung_bytes(number: int, baseline: Finished) -> float:
    """The bytes at which rung `number` is (from 1)."""
    return FIRST_RUNG * baseline.bytes_seen * 2.0 ** (number - 1)


def standing_at(number: int, curve: Curve, end: End | None, baseline: Finished) -> float | None:
    """How far a trial is behind at a rung, in log loss; None if it has not reached it. Without an
    `end` the trial is still training; one that ended before the rung keeps its best loss."""
    if end is End.DIVERGED:
        return math.inf
    came = rungs_passed(curve, baseline) >= number
    if not curve or not (came or end is End.DONE):
        return None
    return standing(curve, baseline.val_losses, rung_bytes(number, baseline))


def extrapolated_score(curve: Curve, baseline: Finished, price: float) -> float:
    """The score that a trial would have after twice its bytes if they reduced the loss as much as
    the last doubling did (or with its best loss so far, if lower); -inf if its curve is too short
    to tell."""
    gain = last_doubling(curve)
    if gain is None:
        return -math.inf
    seen, loss = curve[-1]
    low = min(math.log(loss) - gain, *(math.log(loss) for _, loss in curve))
    doublings = math.log2(2 * seen / baseline.bytes_seen)
    return low - math.log(baseline.best_val_loss) + price * doublings


def is_stopped(
    number: int, curve: Curve, others: Sequence[float], baseline: Finished, price: float
) -> bool:
    """Whether a trial that has just reached a rung is stopped there; `others` are the lags of the
    trials that reached it before."""
    mine = standing_at(number, curve, None, baseline)
    assert mine is not None
    return (
        len(others) >= _MIN_OTHERS
        and mine > median(others)
        and extrapolated_score(curve, baseline, price) > 0
    )
