"""Turn the trials of a stage into the data for its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log

from raydt.tuning.plan import SearchPlan, Study
from raydt.tuning.rule import Scored
from raydt.tuning.space import BATCH
from raydt.tuning.trial import End, Finished, Trial


def scored_trials(
    plan: SearchPlan,
    finished: Mapping[Study, Sequence[Finished]],
    baselines: Mapping[Study, Sequence[Trial]],
    score: Callable[[Finished], float],
) -> list[Scored]:
    """The trials of a stage that were not stopped, and their baselines, whose score is 0."""
    scored = []
    for study, trials in finished.items():
        size = study.size.num_bytes
        scored += [
            Scored(size, each.trial.languages, _log_factors(plan, study, each), score(each))
            for each in trials
            # A stopped trial has no final score.
            if each.end is not End.STOPPED
        ]
        here = {each.name: 0.0 for each in plan.space(study.stage)}
        scored += [Scored(size, trial.languages, here, 0.0) for trial in baselines[study]]
    return scored


def _log_factors(plan: SearchPlan, study: Study, finished: Finished) -> dict[str, float]:
    """The factors after rounding: a batch is whole windows, and small enough for `min_steps`."""
    size, window = study.size.num_bytes, plan.window_bytes
    trial = finished.trial
    factors = dict(trial.factors)
    before = plan.recipe(study.stage).batch_windows(size, window)
    factors[BATCH.name] = trial.recipe.batch_windows(size, window) / before
    return {name: log(factor) for name, factor in factors.items()}
