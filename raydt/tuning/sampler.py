"""Optuna's TPE over the factors of one stage and size."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from raydt.tuning.compared import Compared
from raydt.tuning.plan import SearchPlan, Study
from raydt.tuning.space import Hyperparameter
from raydt.tuning.trial import Finished

logging.getLogger("optuna").setLevel(logging.ERROR)


class Sampler:
    """Suggests factors and receives their scores (lower is better).

    Its state is only in memory: each launch feeds it the record of the search again.
    """

    def __init__(self, space: Sequence[Hyperparameter], num_startup: int, seed: int) -> None:
        self._space = {each.name: each for each in space}
        self._distributions: dict[str, BaseDistribution] = {
            each.name: FloatDistribution(each.low, each.high, log=True) for each in space
        }
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                # Trials run in parallel: without this they would all get similar factors.
                constant_liar=True,
                n_startup_trials=num_startup,
                seed=seed,
            )
        )
        self._asked: dict[str, optuna.trial.Trial] = {}

    def ask(self, trial_id: str) -> dict[str, float]:
        """Factors by hyperparameter."""
        asked = self._study.ask(self._distributions)
        self._asked[trial_id] = asked
        return {name: float(value) for name, value in asked.params.items()}

    def tell(self, trial_id: str, value: float, stopped_after: int | None = None) -> None:
        """The score of a trial that was asked for; `stopped_after` evaluations, if ASHA did."""
        trial = self._asked.pop(trial_id)
        if stopped_after is not None:
            trial.report(value, stopped_after)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)

    def forget(self, trial_id: str) -> None:
        """A trial that failed: it says nothing about its factors."""
        self._study.tell(self._asked.pop(trial_id), state=TrialState.FAIL)

    def remember(
        self, factors: Mapping[str, float], value: float, stopped_after: int | None = None
    ) -> None:
        """A trial of before."""
        if factors.keys() != self._space.keys():
            return  # of a search whose space was another
        if any(
            not self._space[name].low <= f <= self._space[name].high for name, f in factors.items()
        ):
            return
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if stopped_after is None else TrialState.PRUNED,
                params=dict(factors),
                distributions=self._distributions,
                value=value,
                intermediate_values={} if stopped_after is None else {stopped_after: value},
            )
        )


def sampler_of(
    plan: SearchPlan, study: Study, finished: Sequence[Finished], compared: Compared
) -> Sampler:
    """The sampler of a study that knows its baseline and the trials that are finished."""
    space = plan.space(study.stage)
    number = [s for stage in plan.stages for s in plan.studies(stage)].index(study)
    sampler = Sampler(
        space,
        num_startup=max(3, plan.num_trials // 3),
        # What was asked for before and is lost is not asked for again.
        seed=1000 * number + len(finished),
    )
    sampler.remember({each.name: 1.0 for each in space}, 0.0)
    for each in finished:
        sampler.remember(each.trial.factors, compared.score(each), compared.stopped_after(each))
    return sampler
