"""Forward Tune's events to the policy."""

from __future__ import annotations

from typing import Any, Generic

from ray.tune import Callback, Stopper

from raydt.orchestration.cluster.failures import failure_of
from raydt.orchestration.cluster.ray_private import NotPickled, actor_of_trial, errors_of_trials
from raydt.orchestration.run.policy import Policy
from raydt.orchestration.run.task import ReportT, TaskT, received_report
from raydt.orchestration.run.tries import Tries


class Events(NotPickled, Callback, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Tune's callback, which receives the events of every trial."""

    def __init__(self, policy: Policy[TaskT, ReportT], tries: Tries[TaskT, ReportT]) -> None:
        self._policy = policy
        self._tries = tries
        self._errors = errors_of_trials()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tries.began(trial.trial_id, actor_of_trial(trial))
        self._policy.started(self._tries.task_of(trial.trial_id))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        report = received_report(result, self._policy.report_kind)
        if report is not None:
            self._policy.reported(self._tries.task_of(trial.trial_id), report)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self._tries.withdrawn(trial.trial_id):
            return
        # If this raises (a full disk), Tune marks the trial as failed.
        self._policy.ended(self._tries.task_of(trial.trial_id), self._last(trial), None)
        self._tries.finished_trial(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        failure = failure_of(self._errors.pop(trial.trial_id, None))
        self._tries.failed(trial.trial_id, failure, self._last(trial))

    def _last(self, trial: Any) -> ReportT | None:
        return received_report(trial.last_result or {}, self._policy.report_kind)


class PolicyStopper(NotPickled, Stopper, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Tune's stopper, which decides after every report whether the trial stops."""

    def __init__(self, policy: Policy[TaskT, ReportT], tries: Tries[TaskT, ReportT]) -> None:
        self._policy = policy
        self._tries = tries

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        report = received_report(result, self._policy.report_kind)
        if report is None:
            return False
        return self._policy.is_stopped(self._tries.task_of(trial_id), report)

    def stop_all(self) -> bool:
        return False
