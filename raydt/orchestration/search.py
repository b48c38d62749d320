"""A Tune Searcher that hands out the cells of a grid as their parents are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from raydt.grid.cell import Cell
from raydt.grid.schedule import Schedule


class LivesInDriver:
    """Tune pickles searchers and callbacks to restore an experiment later. Ours hold threads and
    locks, and a launch never restores: the ledger says what is done. So they pickle as nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())


class GridSearcher(LivesInDriver, Searcher):  # type: ignore[misc]
    """Suggests the next cell of a `Schedule`, or none yet; children of a failed cell never.

    `is_done` asks the ledger: a trial that ended without an error may still have diverged. At most
    `max_running` cells are out at once, waiting for resources or running.
    """

    def __init__(
        self,
        schedule: Schedule,
        tasks: Mapping[str, dict[str, Any]],
        is_done: Callable[[str], bool],
        on_blocked: Callable[[Cell], None],
        max_running: int | None = None,
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._tasks = tasks
        self._is_done = is_done
        self._on_blocked = on_blocked
        self._max_running = max_running
        self._cell_of_trial: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._max_running is not None and len(self._cell_of_trial) >= self._max_running:
            return None
        cell = self._schedule.next()
        if cell is None:
            return Searcher.FINISHED if self._schedule.exhausted else None
        self._cell_of_trial[trial_id] = cell.cell_id
        return {"task": self._tasks[cell.cell_id]}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        cell_id = self._cell_of_trial.pop(trial_id)
        if not error and self._is_done(cell_id):
            self._schedule.done(cell_id)
            return
        for cell in self._schedule.failed(cell_id):
            self._on_blocked(cell)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Without this Tune wraps the searcher in a limiter that counts cells held back as running.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger says what is done, Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a launch begins from the ledger")
