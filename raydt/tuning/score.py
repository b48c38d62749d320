"""How good a trial is: one number that means the same at every size and in every language.

Trials of a fixed budget are compared at equal shares of it: the same phase of the learning rate's
schedule. Trials that end by themselves have no such phase, and none that is known beforehand: they
are compared at equal bytes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

# A doubling of the budget must lower the loss by this fraction to be worth it. Without a price the
# largest budget always wins, because a cell keeps its best checkpoint.
PRICE_OF_A_DOUBLING = 0.005
# Of a cell's bytes, by whose worth its end is decided; as in raydt/training/ending.py.
LAST_SHARE = 1 / 3

# Bytes seen and nats per byte of every evaluation, in order.
Curve = Sequence[tuple[int, float]]


def score(
    val_losses: Sequence[float], reference: Sequence[float], budget_factor: float = 1.0
) -> float:
    """The score of a trial with a fixed budget: ln(loss / reference loss) after as many evaluations
    as there are losses, plus the price of the budget, PRICE_OF_A_DOUBLING * log2(budget_factor).

    A loss is the best so far: the checkpoint that a cell would keep. `reference` has the losses of
    the previous recipe, in the same language and at the same size; if it has fewer evaluations (it
    stopped), its last best loss counts. Evaluations are evenly spaced over a budget, so equal
    numbers of them are equal fractions of it, and the same phase of the learning rate's schedule.
    """
    assert val_losses, "a score needs an evaluation"
    best = min(val_losses)
    there = min(reference[: len(val_losses)])
    return math.log(best / there) + PRICE_OF_A_DOUBLING * math.log2(budget_factor)


def price_of_a_doubling(tolerance: float) -> float:
    """How much a doubling of the bytes seen must reduce the log loss, in training until
    convergence.

    A cell trains on while the last third of its bytes, log2(3/2) doublings, reduced the log loss by
    at least `tolerance`: tolerance / log2(3/2) per doubling, 0.0051 for 0.003. With exactly this
    price a cell stops where ln(loss) + price * log2(bytes) of its own curve is lowest, to 0.15 % of
    the loss. A lower price would prefer recipes that buy loss with bytes which the stopping rule
    would not spend; a higher one would penalise bytes which it does spend.
    """
    return tolerance / -math.log2(1 - LAST_SHARE)


def ended_score(
    best: float, bytes_seen: int, reference_best: float, reference_bytes: int, price: float
) -> float:
    """The score of a trial that converged: ln(best loss / best loss of the reference) plus the
    price of the bytes that it saw, price * log2(bytes / bytes of the reference)."""
    return math.log(best / reference_best) + price * math.log2(bytes_seen / reference_bytes)


def standing(curve: Curve, reference: Curve, num_bytes: float) -> float:
    """ln(best loss up to `num_bytes` / that of the reference): at equal bytes, so without a price.

    A larger batch is evaluated at other bytes: between evaluations `log_best` interpolates.
    """
    return log_best(curve, num_bytes) - log_best(reference, num_bytes)


def log_best(curve: Curve, num_bytes: float) -> float:
    """Log of the lowest loss up to `num_bytes`: linear in log bytes between evaluations, constant
    before the first and after the last."""
    best, low = [], math.inf
    for seen, loss in curve:
        low = min(low, math.log(loss))
        best.append((seen, low))
    return _on_line(best, num_bytes)


def last_doubling(curve: Curve) -> float | None:
    """How much the last doubling of the bytes seen reduced the log loss; None if the evaluations
    after the first step do not span a doubling.

    It uses the loss and not the best loss so far: a finetune that first got worse and now recovers
    has a slope that its best loss does not show.
    """
    trained = [(seen, math.log(loss)) for seen, loss in curve if seen]
    if not trained or trained[0][0] > trained[-1][0] / 2:
        return None
    return _on_line(trained, trained[-1][0] / 2) - trained[-1][1]


def _on_line(points: Sequence[tuple[float, float]], num_bytes: float) -> float:
    assert points, "a curve needs an evaluation"
    after = bisect_right(points, num_bytes, key=lambda point: point[0])
    if after == 0:
        return points[0][1]
    (x0, y0) = points[after - 1]
    # Initial weights are evaluated after 0 bytes, which have no log.
    if after == len(points) or x0 == 0:
        return y0
    x1, y1 = points[after]
    return y0 + (y1 - y0) * math.log(num_bytes / x0) / math.log(x1 / x0)
