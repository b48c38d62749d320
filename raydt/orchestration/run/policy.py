"""The interface between the fan-out, which all launches share, and the policy of a launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from raydt.orchestration.run.task import ReportT, TaskT


class NoTask(Enum):
    """Why there is no next task."""

    WAIT = "a running task must end first"
    END = "there are no more tasks"


@dataclass(frozen=True)
class Interruption:
    """An interrupted attempt at a task, which will be retried."""

    reason: str  # one line
    node: str | None  # where it ran, if known
    counts: bool  # towards `max_retries`, because it was the task's own fault
    pause_seconds: float  # until the next attempt


class Policy(Protocol[TaskT, ReportT]):
    """Decides which task comes next, when a trial is stopped, and what an ended trial means.

    The fan-out (`raydt.orchestration.run.fan_out`) runs tasks in Ray's processes, retries
    interrupted ones, and calls the policy, all in one thread of the driver. There are two policies:
    `grid.policy.GridPolicy` trains the cells of a schedule, `search.policy.SearchPolicy` the trials
    of a search.

    To add a third, write a class with these members in a folder beside theirs, and a function
    beside `raydt.orchestration.launch` that calls `fan_out` with it; nothing in `run` changes. If
    it trains cells, give `GridPolicy` another `Schedule` instead: leases, results, the display and
    MLflow then work as for every cell. `raydt.grid.growing.GrowingSchedule` does so, and adds seeds
    until intervals are narrow enough. `analysis` computes the intervals and may not be imported
    here, so the command passes the rule in.
    """

    @property
    def report_kind(self) -> type[ReportT]:
        """The type of a trial's reports."""

    @property
    def trainable(self) -> Callable[[dict[str, Any]], None]:
        """Tune's trainable: a module-level function that trains a task."""

    def next(self, running: Sequence[TaskT]) -> TaskT | NoTask:
        """The task to start now, besides the running ones. Called often, and a returned task is
        started, so check with `raydt.orchestration.run.room` whether there is room."""

    def started(self, task: TaskT) -> None:
        """Its trial started in a process (again, if it was interrupted)."""

    def is_over(self, task: TaskT, last: ReportT | None) -> bool:
        """Whether a trial that failed need not be retried, because its work was already done, or is
        no longer needed."""

    def interrupted(self, task: TaskT, interruption: Interruption) -> None:
        """The task's trial was interrupted and will be retried."""

    def print(self, line: str) -> None:
        """Show a message about the machines."""

    def reported(self, task: TaskT, report: ReportT) -> None:
        """Its trial reported."""

    def is_stopped(self, task: TaskT, report: ReportT) -> bool:
        """Whether its trial stops at this report. Called after every report, before `reported`."""

    def ended(self, task: TaskT, last: ReportT | None, failure: str | None) -> None:
        """Its trial ended: by itself, stopped or, with a `failure`, after its last retry. `last` is
        its last report. Called before the next `next`."""
