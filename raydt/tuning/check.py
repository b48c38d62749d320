"""Compare the recipe of a rule with the previous recipe, on seeds used for neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydt.tuning.score import ended_score
from raydt.tuning.trial import Finished
from raydt.units import Size


@dataclass(frozen=True)
class Comparison:
    """Previous and new recipe at one stage and size: mean validation bits per byte over languages
    and seeds, their paired difference with its standard error, and mean bytes seen."""

    size: Size
    before_bpb: float
    after_bpb: float
    difference_bpb: float
    stderr_bpb: float
    before_bytes: float
    after_bytes: float
    scores: tuple[float, ...]  # one per pair: see `raydt.tuning.score`


def compare(
    size: Size, before: Sequence[Finished], after: Sequence[Finished], price: float
) -> Comparison:
    """Runs are paired by language and seed, so what both share cancels. A score is the log of the
    ratio of their losses plus `price` for each doubling of the bytes seen."""
    pairs = {_pair(finished): finished for finished in before}
    first = np.array([pairs[_pair(f)].best_val_loss for f in after]) / math.log(2)
    second = np.array([f.best_val_loss for f in after]) / math.log(2)
    difference = second - first
    scores = [_score(pairs[_pair(f)], f, price) for f in after]
    return Comparison(
        size,
        before_bpb=float(first.mean()),
        after_bpb=float(second.mean()),
        difference_bpb=float(difference.mean()),
        stderr_bpb=_stderr(difference),
        before_bytes=float(np.mean([pairs[_pair(f)].bytes_seen for f in after])),
        after_bytes=float(np.mean([f.bytes_seen for f in after])),
        scores=tuple(scores),
    )


def is_better(comparisons: Sequence[Comparison]) -> bool:
    """Whether the mean score over sizes, languages and seeds is below 0 by more than its standard
    error."""
    scores = np.array([score for each in comparisons for score in each.scores])
    return bool(np.isfinite(scores).all() and scores.mean() < -_stderr(scores))


def _score(before: Finished, after: Finished, price: float) -> float:
    if not (math.isfinite(before.best_val_loss) and math.isfinite(after.best_val_loss)):
        return math.inf  # nothing to compare, so not better
    return ended_score(
        after.best_val_loss, after.bytes_seen, before.best_val_loss, before.bytes_seen, price
    )


def _pair(finished: Finished) -> tuple[str, int]:
    return finished.trial.languages, finished.trial.seed


def _stderr(values: NDArray[np.float64]) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return float("inf")
    return float(values.std(ddof=1) / math.sqrt(len(values)))
