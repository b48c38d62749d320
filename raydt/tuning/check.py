"""Whether the recipe of a rule is better than the one before it, on seeds that chose neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydt.tuning.score import PRICE_OF_A_DOUBLING
from raydt.tuning.trial import Finished
from raydt.units import Size


@dataclass(frozen=True)
class Comparison:
    """Before and after, of a stage at a size: mean validation bits per byte over languages and
    seeds, and their paired difference with its standard error."""

    size: Size
    before_bpb: float
    after_bpb: float
    difference_bpb: float
    stderr_bpb: float
    scores: tuple[float, ...]  # one per pair: see `raydt.tuning.score`


def compare(size: Size, before: Sequence[Finished], after: Sequence[Finished]) -> Comparison:
    """Pairs are of one language and seed: what both share cancels."""
    pairs = {_pair(finished): finished for finished in before}
    first = np.array([pairs[_pair(f)].best_val_loss for f in after]) / math.log(2)
    second = np.array([f.best_val_loss for f in after]) / math.log(2)
    difference = second - first
    scores = []
    for f, old, new in zip(after, first, second, strict=True):
        was = pairs[_pair(f)].trial.recipe.budget(size.num_bytes)
        doublings = math.log2(f.trial.recipe.budget(size.num_bytes) / was)
        scores.append(float(np.log(new / old)) + PRICE_OF_A_DOUBLING * doublings)
    return Comparison(
        size, float(first.mean()), float(second.mean()), float(difference.mean()),
        _stderr(difference), tuple(scores),
    )  # fmt: skip


def is_better(comparisons: Sequence[Comparison]) -> bool:
    """Whether a stage is better off: its mean score over sizes, languages and seeds is below 0 by
    more than its standard error."""
    scores = np.array([score for each in comparisons for score in each.scores])
    return bool(np.isfinite(scores).all() and scores.mean() < -_stderr(scores))


def _pair(finished: Finished) -> tuple[str, int]:
    return finished.trial.languages, finished.trial.seed


def _stderr(values: NDArray[np.float64]) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        return float("inf")
    return float(values.std(ddof=1) / math.sqrt(len(values)))
