"""Whose doing a loss is, and what follows: without Ray, on nodes that come and go as told."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from ray import exceptions as ray_errors

from raydt.orchestration.cluster.failures import (
    Cause,
    Failure,
    GroupError,
    failure_of,
    group_failure,
)
from raydt.orchestration.run.policy import Interruption
from raydt.orchestration.run.task import CellReport, CellTask, Processes
from raydt.orchestration.run.tries import Tries
from tests.orchestration.tasks import cell_task

DIED = Failure(Cause.DIED, "its process was killed")
LOST = Failure(Cause.LOST, "its machine went away")
RAISED = Failure(Cause.RAISED, "ValueError: no")


class Machines:
    """Nodes, and on which of them an actor of a name runs."""

    def __init__(self, *names: str) -> None:
        self.there = set(names)

    def alive(self) -> Mapping[str, Mapping[str, float]]:
        return {name: {"CPU": 2.0} for name in sorted(self.there)}

    def node_of(self, actor: str) -> str | None:
        return actor.partition(":")[0] or None

    def name(self, node: str) -> str:
        return f"machine {node}"


class Told:
    """In the place of a policy: remembers."""

    def __init__(self) -> None:
        self.losses: list[Interruption] = []
        self.failed: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.over: set[str] = set()

    def is_over(self, task: CellTask, last: CellReport | None) -> bool:
        return task.cell_id in self.over

    def interrupted(self, task: CellTask, interruption: Interruption) -> None:
        self.losses.append(interruption)

    def ended(self, task: CellTask, last: CellReport | None, failure: str | None) -> None:
        self.failed.append((task.cell_id, failure))

    def print(self, line: str) -> None:
        self.said.append(line)


class World:
    """Tries with a clock that is set by hand."""

    def __init__(self, *nodes: str, max_retries: int = 1) -> None:
        self.now = 0.0
        self.nodes, self.told = Machines(*nodes), Told()
        self.tries: Tries[CellTask, CellReport] = Tries(
            self.told,  # type: ignore[arg-type]
            self.nodes,
            max_retries,
            clock=lambda: self.now,
        )
        self._numbers = map(str, count())

    def start(self, cell_id: str, node: str, **said: Any) -> str:
        """A task begins on a node; its trial."""
        trial = next(self._numbers)
        self.tries.hand_out(trial, cell_task(cell_id, **said))
        self.tries.began(trial, f"{node}:{trial}")
        return trial

    def again(self, node: str) -> str:
        """What is due begins on a node."""
        trial = next(self._numbers)
        assert self.tries.next(trial) is not None
        self.tries.began(trial, f"{node}:{trial}")
        return trial

    def is_due(self) -> bool:
        return self.tries.next(next(self._numbers)) is not None


def test_what_the_infrastructure_does_never_counts_and_its_pause_grows() -> None:
    world = World("a", "b")
    trial = world.start("one", "a")
    for _ in range(30):
        world.tries.failed(trial, LOST, None)
        assert not world.is_due(), "there is a pause"
        assert len(world.tries.tasks) == 1, "it keeps its slot"
        world.now += world.told.losses[-1].pause_seconds
        trial = world.again("b")
    pauses = [loss.pause_seconds for loss in world.told.losses]
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 300
    assert not any(loss.counts for loss in world.told.losses)
    assert world.told.failed == []
    # One that got somewhere does not wait for long.
    world.now += 3600
    world.tries.failed(trial, LOST, None)
    assert world.told.losses[-1].pause_seconds == 1


def test_a_process_that_died_with_its_node_does_not_count() -> None:
    world = World("a", "b")
    trial = world.start("one", "a")
    world.tries.failed(trial, DIED, None)
    assert world.told.losses == [], "it is not known yet"
    assert not world.is_due()
    world.now += 5
    world.nodes.there.remove("a")  # Ray has noticed
    assert not world.is_due()
    (loss,) = world.told.losses
    assert (loss.counts, loss.node) == (False, "machine a")
    world.now += loss.pause_seconds
    assert world.is_due()


def test_what_had_done_its_work_is_not_tried_again() -> None:
    world = World("a", "b")
    world.told.over.add("one")
    world.tries.failed(world.start("one", "a"), LOST, None)
    assert world.told.failed == [("one", "its machine went away")], "the policy knows what it means"
    assert world.tries.tasks == []


def test_a_process_that_died_alone_counts() -> None:
    world = World("a", "b")
    trial = world.start("one", "a")
    world.tries.failed(trial, DIED, None)
    world.now += 29
    assert not world.is_due()
    world.now += 2
    trial = world.again("b")
    assert [loss.counts for loss in world.told.losses] == [True]
    world.tries.failed(trial, DIED, None)
    world.now += 31
    assert not world.is_due()
    assert world.told.failed == [("one", "its process was killed")]
    assert world.tries.tasks == []


def test_on_a_machine_of_its_own_it_is_known_at_once() -> None:
    world = World("a", max_retries=0)
    world.tries.failed(world.start("one", "a"), DIED, None)
    assert world.told.failed == [("one", "its process was killed")]


def test_an_exception_counts_wherever_it_was_raised() -> None:
    world = World("a", "b")
    trial = world.start("one", "a")
    world.tries.failed(trial, RAISED, None)
    trial = world.again("b")
    world.tries.failed(trial, RAISED, None)
    assert world.told.failed == [("one", "ValueError: no")]


def test_what_a_group_raises_when_one_of_its_nodes_is_gone_does_not_count() -> None:
    """Gloo says `connection reset by peer`, in an exception of the training itself."""
    world = World("a", "b", "c", max_retries=0)
    group = Processes(num_workers=2)
    trial = world.start("large", "a", processes=group)
    world.tries.failed(trial, RAISED, None)
    world.now += 3
    world.nodes.there.remove("c")
    assert not world.is_due()
    assert [loss.counts for loss in world.told.losses] == [False]
    world.now += 1
    trial = world.again("a")
    world.tries.failed(trial, RAISED, None)  # all nodes live: it is the cell's
    world.now += 31
    assert not world.is_due()
    assert world.told.failed == [("large", "ValueError: no")]


def test_a_node_on_which_tasks_keep_dying_is_avoided_and_named() -> None:
    world = World("a", "b", max_retries=5)
    for cell_id in ("one", "two", "three"):
        world.tries.failed(world.start(cell_id, "a"), DIED, None)
        world.now += 31
        assert world.is_due()
    (line,) = world.told.said
    assert "machine a" in line
    assert "avoided" in line
    assert world.tries.hand_out("new", cell_task("new")).avoided == {"a"}
    assert not world.tries.is_stranded("new")
    # The other one goes: nothing waits for a node that will not come.
    world.nodes.there.remove("b")
    assert world.tries.is_stranded("new")
    assert world.tries.withdrawn("new")
    again = world.tries.next("newer")
    assert again is not None
    assert again.task.cell_id == "new"
    assert again.avoided == frozenset()


def test_one_task_that_always_dies_is_no_nodes_fault_and_is_tried_elsewhere() -> None:
    world = World("a", "b", max_retries=5)
    trial = world.start("greedy", "a")
    for node in ("b", "a", "b"):
        world.tries.failed(trial, DIED, None)
        world.now += 31
        trial = world.again(node)
    assert world.told.said == []
    world.tries.finished_trial(world.start("fine", "a"))
    world.tries.finished_trial(world.start("fine too", "b"))
    assert world.tries.hand_out("new", cell_task("new")).avoided == frozenset()


def test_a_task_is_not_kept_from_the_only_node_that_has_room_for_it() -> None:
    world = World("a", "b", max_retries=5)
    trial = world.start("wide", "a", processes=Processes(cpus=4))
    world.tries.failed(trial, DIED, None)
    world.now += 31
    tried = world.tries.next("again")
    assert tried is not None
    assert tried.avoided == frozenset()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ray_errors.ActorUnavailableError("RpcError: Connection reset", b"1" * 16), Cause.LOST),
        (ray_errors.NodeDiedError("gone"), Cause.LOST),
        (ray_errors.LocalRayletDiedError(), Cause.LOST),
        (ray_errors.ActorDiedError(), Cause.DIED),
        (ray_errors.RayActorError(preempted=True), Cause.LOST),
        (ray_errors.OutOfMemoryError("too much"), Cause.RAISED),
        (ray_errors.RayTaskError("f", "Traceback\nValueError: no", ValueError("no")), Cause.RAISED),
        (ray_errors.RayTaskError("f", "...", GroupError(LOST)), Cause.LOST),
        (ray_errors.RayTaskError("f", "...", ray_errors.ActorDiedError()), Cause.DIED),
        ("Failure # 1\nOSError: no space", Cause.RAISED),
        (None, Cause.RAISED),
    ],
)
def test_what_ray_says(error: BaseException | str | None, cause: Cause) -> None:
    assert failure_of(error).cause is cause


def test_of_a_group_the_infrastructure_goes_first() -> None:
    reset = RuntimeError("connection reset by peer")
    died = ray_errors.ActorDiedError()
    assert group_failure([reset, died]).cause is Cause.DIED
    assert group_failure([reset, ray_errors.NodeDiedError("gone")]).cause is Cause.LOST
    assert group_failure([reset]).reason == "connection reset by peer"
