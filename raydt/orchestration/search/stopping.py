"""Stops trials of a search; a trial is compared with those of its own stage and size alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from raydt.orchestration.run.scheduler import PatientScheduler
from raydt.orchestration.search.trial import EVALUATIONS, SCORE
from raydt.tuning.score import Curve

_REDUCTION = 2  # of two trials at a rung one goes on: the rule needs some that end


class StopsByStudy(PatientScheduler):
    """Trials with a fixed budget have a score and are stopped by asynchronous successive halving
    (Li et al. 2020, arXiv 1810.05934), by `task["study"]`: a rung is a number of evaluations, that
    is a fraction of a trial's own budget.

    Of all others `is_stopped` is asked, with Tune's id of the trial and its evaluations, after
    every one of them.
    """

    def __init__(self, evaluations: int, is_stopped: Callable[[str, Curve], bool]) -> None:
        super().__init__()
        self._evaluations = evaluations
        self._is_stopped = is_stopped
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
        if SCORE in result:
            return str(self._of(trial).on_trial_result(tune_controller, trial, result))
        # The last word of a trial has no evaluation of its own.
        curve = [] if "ended" in result else result["val_losses"]
        if curve and self._is_stopped(trial.trial_id, curve):
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)
