"""Early stopping of trials with a fixed budget.

Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), as Ray Tune's `ASHAScheduler`
does with one bracket: at a rung, which is a number of evaluations and so a fraction of a trial's
own budget, a trial is stopped if it is worse than the better half of the trials that reached it
before.
"""

from __future__ import annotations

import math

import numpy as np

_REDUCTION = 2  # half of the trials at a rung continue: the rule needs some that finish


class Halving:
    """The rungs of one study; `evaluations` is the number that each of its trials has."""

    def __init__(self, evaluations: int) -> None:
        # Early losses favour fast learning over a good final loss.
        first = max(1, evaluations // 2)
        num_rungs = int(math.log(evaluations / first) / math.log(_REDUCTION) + 1)
        self._rungs: list[tuple[int, dict[str, float]]] = [
            (first * _REDUCTION**number, {}) for number in reversed(range(num_rungs))
        ]

    def is_stopped(self, trial_id: str, evaluations: int, score: float) -> bool:
        """Whether a trial is stopped after this many evaluations; lower scores are better. Call it
        after every evaluation."""
        for rung, scores in self._rungs:
            if evaluations < rung or trial_id in scores:
                continue
            before = list(scores.values())
            scores[trial_id] = score
            return bool(before and score > np.nanpercentile(before, 100 / _REDUCTION))
        return False
