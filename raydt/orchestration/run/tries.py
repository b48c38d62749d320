"""Which tasks are retried, when and where.

A task that is lost with its machine is retried without limit, after a pause that grows as long as
the task makes no progress. A task's own failures (it raises an exception, or is killed for its
memory on a machine that stays alive) count, and after `max_retries` retries the task has failed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from raydt.orchestration.cluster.failures import Cause, Failure, Nodes
from raydt.orchestration.run.policy import Interruption, Policy
from raydt.orchestration.run.room import process_resources
from raydt.orchestration.run.task import ReportT, TaskT

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0
# A task that ran for this long made progress: its pause is reset.
_STEADY_SECONDS = 60.0
# How long Ray may take to notice that a node is gone whose processes have died.
_NODE_DEATH_SECONDS = 30.0
# A node on which this many tasks in a row failed is avoided.
_BAD_NODE_TASKS = 3


@dataclass(eq=False)
class Try(Generic[TaskT, ReportT]):
    """A started task, through all of its tries."""

    task: TaskT
    avoided: frozenset[str] = frozenset()  # nodes on which its next try must not run
    num_faults: int = 0  # failures by its own fault
    num_losses: int = 0  # losses in a row
    node: str | None = None  # of its trial
    began: float | None = None
    there: frozenset[str] = frozenset()  # the nodes that were alive when it began
    failure: Failure | None = None
    ended: float = 0.0
    last: ReportT | None = None
    again: float | None = None  # time of the next try; None: not decided yet


@dataclass
class _NodeRecord(Generic[TaskT, ReportT]):
    """The tasks that failed on a node since its last finished one."""

    died: set[Try[TaskT, ReportT]] = field(default_factory=set)
    raised: set[Try[TaskT, ReportT]] = field(default_factory=set)


class Tries(Generic[TaskT, ReportT]):
    """All tasks of a launch that run, or wait for a retry."""

    def __init__(
        self,
        policy: Policy[TaskT, ReportT],
        nodes: Nodes,
        max_retries: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._nodes = nodes
        self._max_retries = max_retries
        self._clock = clock
        self._running: dict[str, Try[TaskT, ReportT]] = {}  # by trial
        self._waiting: list[Try[TaskT, ReportT]] = []
        self._records: defaultdict[str, _NodeRecord[TaskT, ReportT]] = defaultdict(_NodeRecord)
        self._bad: frozenset[str] = frozenset()
        self._any_finished = False

    @property
    def tasks(self) -> Sequence[TaskT]:
        """The running tasks, and those to be retried, which keep their slots."""
        return [tried.task for tried in (*self._running.values(), *self._waiting)]

    def task_of(self, trial_id: str) -> TaskT:
        """The task of a trial."""
        return self._running[trial_id].task

    def next(self, trial_id: str) -> Try[TaskT, ReportT] | None:
        """Assign a task that is due for a retry to this trial; None if there is none."""
        for tried in list(self._waiting):
            if tried.again is None:
                self._judge(tried)
        now = self._clock()
        for tried in self._waiting:
            if tried.again is not None and tried.again <= now:
                self._waiting.remove(tried)
                tried.avoided = self._avoided(tried)
                self._running[trial_id] = tried
                return tried
        return None

    def hand_out(self, trial_id: str, task: TaskT) -> Try[TaskT, ReportT]:
        """Start the first try of a task."""
        tried: Try[TaskT, ReportT] = Try(task)
        tried.avoided = self._avoided(tried)
        self._running[trial_id] = tried
        return tried

    def began(self, trial_id: str, actor: str | None) -> None:
        """A trial started in a process."""
        tried = self._running[trial_id]
        tried.began = self._clock()
        tried.node = None if actor is None else self._nodes.node_of(actor)
        tried.there = frozenset(self._nodes.alive())

    def finished_trial(self, trial_id: str) -> None:
        """A trial ended by itself, or was stopped."""
        tried = self._running.pop(trial_id)
        self._any_finished = True
        if tried.node is not None:
            self._records.pop(tried.node, None)
            self._bad -= {tried.node}

    def failed(self, trial_id: str, failure: Failure, last: ReportT | None) -> None:
        """A trial failed."""
        tried = self._running[trial_id]
        if self._policy.is_over(tried.task, last):
            self._policy.ended(tried.task, last, failure.reason)
            del self._running[trial_id]
            return
        del self._running[trial_id]
        tried.failure, tried.last = failure, last
        tried.ended, tried.again = self._clock(), None
        self._waiting.append(tried)
        self._judge(tried)

    def is_stranded(self, trial_id: str) -> bool:
        """Whether a pending trial can no longer run on any node."""
        tried = self._running.get(trial_id)
        return tried is not None and bool(tried.avoided) and not self._fitting(tried)

    def withdrawn(self, trial_id: str) -> bool:
        """Whether an ending trial was only stopped because it was stranded, and will be retried."""
        tried = self._running.get(trial_id)
        if tried is None or tried.began is not None or not tried.avoided:
            return False
        del self._running[trial_id]
        tried.again = self._clock()
        self._waiting.append(tried)
        return True

    def _judge(self, tried: Try[TaskT, ReportT]) -> None:
        """Decide whether a failure was the task's own fault, once that is known."""
        failure = tried.failure
        assert failure is not None, "it failed"
        if failure.cause is Cause.LOST:
            self._lost(tried, failure.reason, counts=False)
            return
        in_group = tried.task.processes.num_workers > 1
        if failure.cause is Cause.RAISED and not in_group:
            self._fault(tried, failure)
            return
        alive = self._nodes.alive()
        where = {node for actor in failure.actors if (node := self._nodes.node_of(actor))}
        if tried.node is not None:
            where.add(tried.node)
        # When a worker is gone, the others of its group only report broken connections.
        if in_group:
            where |= tried.there
        if not where or not where <= alive.keys():
            self._lost(tried, f"{failure.reason}: its machine is gone", counts=False)
        elif len(alive) == 1 or self._clock() - tried.ended >= _NODE_DEATH_SECONDS:
            self._fault(tried, failure)

    def _fault(self, tried: Try[TaskT, ReportT], failure: Failure) -> None:
        tried.num_faults += 1
        tried.num_losses = 0
        if tried.node is not None:
            record = self._records[tried.node]
            (record.raised if failure.cause is Cause.RAISED else record.died).add(tried)
            self._look_at(tried.node)
        if tried.num_faults > self._max_retries:
            self._waiting.remove(tried)
            self._policy.ended(tried.task, tried.last, failure.reason)
            return
        self._lost(tried, failure.reason, counts=True)

    def _lost(self, tried: Try[TaskT, ReportT], reason: str, *, counts: bool) -> None:
        now = self._clock()
        pause = 0.0
        if not counts:
            was_steady = tried.began is not None and tried.ended - tried.began >= _STEADY_SECONDS
            tried.num_losses = 1 if was_steady else tried.num_losses + 1
            grown = _FIRST_PAUSE_SECONDS * 2.0 ** min(tried.num_losses - 1, 30)
            pause = min(grown, _LONGEST_PAUSE_SECONDS)
        node = None if tried.node is None else self._nodes.name(tried.node)
        tried.again = now + pause
        tried.began = None
        tried.node = None
        self._policy.interrupted(tried.task, Interruption(reason, node, counts, pause))

    def _look_at(self, node: str) -> None:
        """Avoid a node from now on if tasks keep failing there, and print this once."""
        record = self._records[node]
        # Exceptions count against a node only if some task has finished elsewhere.
        raised = record.raised if self._any_finished else set()
        if node not in self._bad and len(record.died | raised) >= _BAD_NODE_TASKS:
            self._bad |= {node}
            self._policy.print(
                f"{len(record.died | raised)} tasks in a row failed on {self._nodes.name(node)}: "
                "it is avoided as long as there is another node"
            )

    def _avoided(self, tried: Try[TaskT, ReportT]) -> frozenset[str]:
        """Bad nodes, and those where this task failed, unless no other node can run it."""
        own = {
            node
            for node, record in self._records.items()
            if tried in record.died or tried in record.raised
        }
        for wanted in (self._bad | own, self._bad):
            tried.avoided = frozenset(wanted)
            if wanted and self._fitting(tried):
                return tried.avoided
        return frozenset()

    def _fitting(self, tried: Try[TaskT, ReportT]) -> list[str]:
        """The allowed nodes that have the resources for a process of the task."""
        needed = process_resources(tried.task.processes)
        return [
            node
            for node, there in self._nodes.alive().items()
            if node not in tried.avoided
            and all(there.get(name, 0.0) >= amount for name, amount in needed.items())
        ]
