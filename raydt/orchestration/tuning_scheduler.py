"""ASHA, one for each stage and size: a trial is compared with those of its own study alone."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from raydt.orchestration.scheduler import PatientScheduler
from raydt.orchestration.tuning_trial import EVALUATIONS, SCORE

_REDUCTION = 2  # of two trials at a rung one goes on: the rule needs some that end


class AshaByStudy(PatientScheduler):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), by `task["study"]`.

    A rung is a number of evaluations, that is a fraction of a trial's own budget. What has no
    score (baselines, checks, parents) goes to its end.
    """

    def __init__(self, evaluations: int) -> None:
        super().__init__()
        self._evaluations = evaluations
        self._schedulers: dict[str, ASHAScheduler] = {}

    def _of(self, trial: Any) -> ASHAScheduler:
        study = trial.config["task"]["study"]
        if study not in self._schedulers:
            self._schedulers[study] = ASHAScheduler(
                time_attr=EVALUATIONS,
                metric=SCORE,
                mode="min",
                max_t=self._evaluations,
                # Early losses favour what is fast and not what is good.
                grace_period=max(1, self._evaluations // 2),
                reduction_factor=_REDUCTION,
                # A trial that has gone through its budget ends by itself, with its last word.
                stop_last_trials=False,
            )
        return self._schedulers[study]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if SCORE not in result:
            return str(TrialScheduler.CONTINUE)
        return str(self._of(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)
