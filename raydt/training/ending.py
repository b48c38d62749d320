"""When a cell is evaluated, when it ends, and how much more training might have improved it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from raydt.config.evaluation import FIRST_SHARE
from raydt.training.outcome import Report

# The share of training, at its end, over which the improvement is measured.
_LAST_SHARE = 1 / 3
# Small cells stay on a plateau for a few hundred steps before they learn more than the frequencies
# of bytes. No cell counts as converged before that, whatever its validation loss does.
MIN_STEPS = 300


def evaluation_steps(
    num_steps: int, step_bytes: int, size_bytes: int, growth: float, evaluations: int
) -> frozenset[int]:
    """The steps after which `val` is evaluated; the last of `num_steps` is one of them.

    With a `growth` of 1 there are `evaluations`, evenly spaced. With a larger one the first comes
    after half of the data, and each further one after `growth` times as many steps as the previous
    one, so every doubling of the steps has the same number of evaluations, however long a cell
    trains.
    """
    if growth == 1:
        return frozenset(math.ceil(num_steps * (i + 1) / evaluations) for i in range(evaluations))
    steps = {num_steps}
    at = max(1.0, size_bytes * FIRST_SHARE / step_bytes)
    while at < num_steps:
        steps.add(round(at))
        at = max(at * growth, round(at) + 1)
    return frozenset(steps)


def has_converged(
    reports: Sequence[Report], min_bytes: int, tolerance: float, patience: int
) -> bool:
    """Whether the rules of `raydt.config.protocol.Protocol` stop a cell after these reports; never
    before `min_bytes` are seen.

    If a cell starts from weights, the report before its first step does not count: a finetune may
    have to get worse before it gets better.
    """
    trained = [report for report in reports if report.bytes_seen]
    if not trained or trained[-1].bytes_seen < min_bytes:
        return False
    losses = [report.val_loss for report in trained]
    best = losses.index(min(losses))
    if len(losses) - 1 - best >= patience:
        return True
    if best < len(losses) - 1:
        return False
    before = [r for r in trained if r.bytes_seen <= (1 - _LAST_SHARE) * trained[-1].bytes_seen]
    return bool(before) and math.log(before[-1].val_loss / losses[-1]) < tolerance


def unfinished(reports: Sequence[Report]) -> float | None:
    """Estimate of how much another doubling of the bytes seen would lower the log of the validation
    loss.

    It is the gain of the last doubling times its ratio to the gain of the one before: at most 1,
    and 1 if the curve does not reach back that far or did not fall there. 0 if the lowest
    validation loss came before the end; None if the evaluations do not span a doubling.
    """
    curve = [(report.bytes_seen, math.log(report.val_loss)) for report in reports]
    if not any(num_bytes for num_bytes, _ in curve):
        return None
    if min(curve, key=lambda point: point[1])[0] < curve[-1][0]:
        return 0.0
    points = [(math.log(num_bytes), loss) for num_bytes, loss in curve if num_bytes]
    last = _interpolated(points, points[-1][0])
    half, quarter = (_interpolated(points, points[-1][0] - n * math.log(2)) for n in (1, 2))
    if last is None or half is None:
        return None
    gain = half - last
    if quarter is None or quarter <= half:
        return gain
    return gain * min(1.0, gain / (quarter - half))


def _interpolated(curve: Sequence[tuple[float, float]], x: float) -> float | None:
    """The value of `curve` at `x`, linear between its points; None before the first."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1] if curve and x == curve[-1][0] else None
