"""Which trials that end by themselves are stopped before.

Rungs stand at 2/3, 4/3, 8/3, ... of the bytes that the recipe as it was took to its end in the same
language and at the same size. At a rung a trial is compared at equal bytes with that recipe, and
by how much it is behind, with the other trials of its stage and size. It is stopped if

- at least three others have come to this rung (or ended before it),
- it is behind their median, and
- it would be no better than the recipe as it was ended, the price of its bytes included, even if
  the next doubling of its bytes took off as much as the last one did.

The last is why a rung is no early halving: a strong weight decay or a small learning rate learns
slowly and ends better. Such a trial is far behind at the rung and still falls fast, one that has
settled at a bad place does not. Past the first epochs gains per doubling shrink along a curve, so
the last one bounds the next. The median keeps half of a study where nothing is better than the
recipe as it was: the rule is fitted to trials that came to their end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from raydt.tuning.score import Curve, last_doubling, standing
from raydt.tuning.trial import End, Finished

FIRST_RUNG = 2 / 3  # of the bytes of the recipe as it was
_LEAST_OTHERS = 3


def rungs_passed(curve: Curve, baseline: Finished) -> int:
    """How many rungs a trial has come to."""
    seen = curve[-1][0] if curve else 0
    first = FIRST_RUNG * baseline.bytes_seen
    return 0 if seen < first else 1 + math.floor(math.log2(seen / first))


def rung_bytes(number: int, baseline: Finished) -> float:
    """Where the rung of this number stands, from 1."""
    return FIRST_RUNG * baseline.bytes_seen * 2.0 ** (number - 1)


def standing_at(number: int, curve: Curve, end: End | None, baseline: Finished) -> float | None:
    """How far a trial is behind at a rung, in log loss; None where it has not come to it. Without
    an `end` it is still training; one that ended before the rung keeps its best."""
    if end is End.DIVERGED:
        return math.inf
    came = rungs_passed(curve, baseline) >= number
    if not curve or not (came or end is End.DONE):
        return None
    return standing(curve, baseline.val_losses, rung_bytes(number, baseline))


def hope(curve: Curve, baseline: Finished, price: float) -> float:
    """The score that a trial would have after twice its bytes if they took off as much as the last
    doubling did, and never less than it has now; -inf where its curve is too short to say."""
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
    """Whether a trial that has just come to a rung ends there; `others` are the standings of those
    that came to it."""
    mine = standing_at(number, curve, None, baseline)
    assert mine is not None
    return (
        len(others) >= _LEAST_OTHERS and mine > median(others) and hope(curve, baseline, price) > 0
    )
