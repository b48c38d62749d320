"""A Tune Searcher that hands out the cells of a grid as their parents are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from raydt.grid.cell import Cell
from raydt.grid.schedule import Schedule
from raydt.tracking.schema import Status


class LivesInDriver:
    """Tune pickles searchers and callbacks to restore an experiment later. Ours hold threads and
    locks, and a launch never restores: the ledger says what is done. So they pickle as nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())


class GridSearcher(LivesInDriver, Searcher):  # type: ignore[misc]
    """Suggests the next cell of a `Schedule`, or none yet; children of a failed cell never.

    `task_of` makes the task of a cell, or says None if it was cancelled meanwhile. `result_of`
    asks the ledger what came of a cell: a trial that ended without an error may still have
    diverged. `has_room` says whether the workers of another task would find a place.
    """

    def __init__(
        self,
        schedule: Schedule,
        task_of: Callable[[str], dict[str, Any] | None],
        result_of: Callable[[str], Mapping[str, Any] | None],
        on_blocked: Callable[[Cell], None],
        has_room: Callable[[dict[str, Any], list[dict[str, Any]]], bool],
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._task_of = task_of
        self._result_of = result_of
        self._on_blocked = on_blocked
        self._has_room = has_room
        self._running: dict[str, dict[str, Any]] = {}  # by trial
        self._next: dict[str, Any] | None = None  # has waited for room

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        task = self._next or self._take()
        if task is None:
            return Searcher.FINISHED if self._schedule.exhausted else None
        if self._running and not self._has_room(task, list(self._running.values())):
            self._next = task
            return None
        self._next = None
        self._running[trial_id] = task
        return {"task": task}

    def _take(self) -> dict[str, Any] | None:
        while (cell := self._schedule.next()) is not None:
            task = self._task_of(cell.cell_id)
            if task is not None:
                return task
            self._failed(cell.cell_id)
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        cell_id = self._running.pop(trial_id)["cell_id"]
        decided = self._result_of(cell_id)
        if decided is not None and decided["status"] == Status.DONE:
            self._schedule.done(cell_id)
        else:
            self._failed(cell_id)

    def _failed(self, cell_id: str) -> None:
        for cell in self._schedule.failed(cell_id):
            self._on_blocked(cell)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Without this Tune wraps the searcher in a limiter that counts cells held back as running.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger says what is done, Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a launch begins from the ledger")
