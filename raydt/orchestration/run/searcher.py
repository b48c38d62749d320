"""Tune's searcher: hands out the tasks of a policy."""

from __future__ import annotations

from typing import Any, Generic

from ray.tune.search import Searcher

from raydt.orchestration.cluster.ray_private import NotPickled
from raydt.orchestration.run.policy import Nothing, Policy
from raydt.orchestration.run.task import ReportT, TaskT, sent


class PolicySearcher(NotPickled, Searcher, Generic[TaskT, ReportT]):  # type: ignore[misc]
    """Suggests what the policy has next. Which trial has which task is known here."""

    def __init__(self, policy: Policy[TaskT, ReportT]) -> None:
        super().__init__()
        self._policy = policy
        self.tasks: dict[str, TaskT] = {}  # by trial
        self._running: dict[str, TaskT] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        task = self._policy.next(list(self._running.values()))
        if task is Nothing.YET:
            return None
        if task is Nothing.EVER:
            return str(Searcher.FINISHED)
        assert not isinstance(task, Nothing)
        self.tasks[trial_id] = self._running[trial_id] = task
        return sent(task)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        # What it means is asked by `Events`, which Tune tells right after this.
        self._running.pop(trial_id, None)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Without this Tune wraps the searcher in a limiter that counts tasks held back as running.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger says what is done, Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a launch begins from the ledger")
