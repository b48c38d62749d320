"""Tune's searcher, which suggests the tasks of a policy."""

from __future__ import annotations

from typing import Any, Generic

from ray.tune.search import Searcher

from raydt.orchestration.cluster.ray_private import NotPickled
from raydt.orchestration.run.policy import NoTask, Policy
from raydt.orchestration.run.task import ReportT, TaskT, sent
from raydt.orchestration.run.tries import Tries


class PolicySearcher(NotPickled, Searcher, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Suggests tasks to retry, else the policy's next task."""

    def __init__(self, policy: Policy[TaskT, ReportT], tries: Tries[TaskT, ReportT]) -> None:
        super().__init__()
        self._policy = policy
        self._tries = tries

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        again = self._tries.next(trial_id)
        if again is not None:
            return sent(again.task, again.avoided)
        there = self._tries.tasks
        task = self._policy.next(there)
        if task is NoTask.WAIT:
            return None
        if task is NoTask.END:
            return None if there else str(Searcher.FINISHED)
        assert not isinstance(task, NoTask)
        return sent(task, self._tries.hand_out(trial_id, task).avoided)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: `Events` handles it, which Tune calls right after this."""

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Otherwise Tune wraps the searcher in a limiter that counts tasks held back as running.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a launch resumes from the ledger")
