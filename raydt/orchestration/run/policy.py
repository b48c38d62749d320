"""What a launch wants of the fan-out, which is one for all launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from raydt.orchestration.run.task import ReportT, TaskT


class Nothing(Enum):
    """In the place of a task."""

    YET = "something that runs has to end first"
    EVER = "nothing will come any more"


@dataclass(frozen=True)
class Loss:
    """A try that came to no end, and after which its task is tried again."""

    reason: str  # in a line
    node: str | None  # where it ran, if that is known
    counts: bool  # against `max_retries`: it was the task's own doing
    pause_seconds: float  # until it is tried again


class Policy(Protocol[TaskT, ReportT]):
    """Three questions: what comes next, what stops a trial, and what an ended trial means.

    The fan-out (`raydt.orchestration.run.fan_out`) hands out tasks, runs them in processes of Ray,
    tries again what was lost, and asks; all in one thread of the driver. There are two policies:
    `grid.policy.GridPolicy` trains the cells of a schedule, `search.policy.SearchPolicy` what a
    search asks for.

    A third one is a class with these members, in a folder beside theirs, and a function beside
    `raydt.orchestration.launch` that calls `fan_out` with it; nothing in `run` changes. Where what
    it trains are cells, give `GridPolicy` another `Schedule`, and leases, results, the display
    and MLflow are what they are for every cell: `raydt.grid.growing.GrowingSchedule` adds seeds
    until intervals are narrow enough. `analysis` computes intervals, and nothing here may import
    it: the command passes the rule in.
    """

    @property
    def report_kind(self) -> type[ReportT]:
        """Of what a trial reports."""

    @property
    def trainable(self) -> Callable[[dict[str, Any]], None]:
        """That of Tune: a function of a module, which trains a task."""

    def next(self, running: Sequence[TaskT]) -> TaskT | Nothing:
        """The task to start now, besides those that run; asked often. What it returns is started:
        `raydt.orchestration.run.room` says whether another one has room."""

    def started(self, task: TaskT) -> None:
        """Its trial has a process (again, if the one before was lost)."""

    def is_over(self, task: TaskT, last: ReportT | None) -> bool:
        """Of a trial that came to no end: whether there is nothing to try again, as its work was
        done before, or is not wanted any more."""

    def lost(self, task: TaskT, loss: Loss) -> None:
        """It came to no end and is tried again."""

    def print(self, line: str) -> None:
        """Something a person should know of the machines."""

    def reported(self, task: TaskT, report: ReportT) -> None:
        """Its trial has reported."""

    def is_stopped(self, task: TaskT, report: ReportT) -> bool:
        """Whether its trial ends with this report. Asked after every report, before `reported`."""

    def ended(self, task: TaskT, last: ReportT | None, failure: str | None) -> None:
        """Its trial is over: of itself, stopped, or, with a `failure`, for good after as many tries
        as there may be. `last` is its last report. Before `next` is asked again."""
