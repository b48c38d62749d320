"""What happens to trials, passed on to the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic

from ray.tune import Callback, Stopper

from raydt.orchestration.cluster.ray_private import NotPickled
from raydt.orchestration.run.policy import Policy
from raydt.orchestration.run.searcher import PolicySearcher
from raydt.orchestration.run.task import ReportT, TaskT, received_report

# What Ray says of a process that is gone, and what a person would say.
_LOST = {
    "ActorDiedError": "its process was killed, or died for lack of memory",
    "RayActorError": "its process was killed, or died for lack of memory",
    "WorkerCrashedError": "its process was killed, or died for lack of memory",
    "OutOfMemoryError": "its machine ran out of memory",
    "NodeDiedError": "its machine went away",
}


class Events(NotPickled, Callback, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Told by Tune of every trial."""

    def __init__(
        self, policy: Policy[TaskT, ReportT], searcher: PolicySearcher[TaskT, ReportT]
    ) -> None:
        self._policy = policy
        self._tasks = searcher.tasks

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._policy.started(self._tasks[trial.trial_id])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        report = received_report(result, self._policy.report_kind)
        if report is not None:
            self._policy.reported(self._tasks[trial.trial_id], report)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial, reason_of(trial.error_file))

    def _ended(self, trial: Any, failure: str | None) -> None:
        last = received_report(trial.last_result or {}, self._policy.report_kind)
        # Where this fails (a full disk), Tune tries the trial again and tells of it again.
        self._policy.ended(self._tasks[trial.trial_id], last, failure)
        del self._tasks[trial.trial_id]


class PolicyStopper(NotPickled, Stopper, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Asked by Tune after every report whether its trial ends with it."""

    def __init__(
        self, policy: Policy[TaskT, ReportT], searcher: PolicySearcher[TaskT, ReportT]
    ) -> None:
        self._policy = policy
        self._tasks = searcher.tasks

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        report = received_report(result, self._policy.report_kind)
        return report is not None and self._policy.is_stopped(self._tasks[trial_id], report)

    def stop_all(self) -> bool:
        return False


def reason_of(error_file: str | None) -> str:
    """Why a trial failed, in a line."""
    if error_file is None:
        return "no error was recorded"
    lines = [line.strip() for line in Path(error_file).read_text().splitlines() if line.strip()]
    for line in lines:
        name = line.partition(":")[0].rpartition(".")[2]
        if name in _LOST:
            return _LOST[name]
    return lines[-1] if lines else "no error was recorded"
