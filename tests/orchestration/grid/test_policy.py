"""Which cells are handed out, and what an ended trial means, on a real storage and without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, Attempt, cancel
from raydt.grid.ledger import cell_folder
from raydt.grid.result import Result, read_result
from raydt.grid.schedule import Schedule
from raydt.orchestration.grid import policy as module
from raydt.orchestration.grid.policy import GridPolicy
from raydt.orchestration.run.policy import Interruption, NoTask
from raydt.orchestration.run.task import CellReport, CellTask
from raydt.storage.folder import Folder
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Stage, Status
from tests.grid.results import report_of, result_of
from tests.orchestration.tasks import cell_task


class Shown(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, ...]] = []

    def print(self, text: str, style: str | None = None) -> None:
        self.seen.append(("said", text))

    def started(self, cell_id: str) -> None:
        self.seen.append(("started", cell_id))

    def reported(self, cell_id: str, row: object) -> None:
        self.seen.append(("reported", cell_id))

    def ended(self, cell_id: str, result: Result) -> None:
        self.seen.append((str(result.status), cell_id, result.reason))

    def interrupted(self, cell_id: str, line: str) -> None:
        self.seen.append(("lost", cell_id, line))

    def blocked(self, cell: Cell) -> None:
        self.seen.append(("blocked", cell.cell_id))

    def cancelled(self, cell_id: str) -> None:
        self.seen.append(("cancelled", cell_id))

    def of(self, kind: str) -> list[str]:
        return [str(each[1]) for each in self.seen if each[0] == kind]


class Written:
    """In the place of the store's recorder."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str]] = []
        self.results: list[tuple[str, Status]] = []
        self.ended_by_hand: list[str] = []

    def cancelled(self, cell_id: str) -> None:
        self.ended_by_hand.append(cell_id)

    def reported(self, cell_id: str, attempt: str) -> None:
        self.reports.append((cell_id, attempt))

    def ended(self, cell_id: str, result: Result) -> None:
        self.results.append((cell_id, result.status))


class World:
    """Two sources, one target, one size: two pretrains, a scratch, two zeroshots, two finetunes."""

    def __init__(self, tmp_path: Path) -> None:
        self.sweep = Sweep(
            sources=("related", "nonsense"),
            targets=("alba",),
            sizes=("2k",),
            seeds=(0,),
            slots=9,
            storage=str(tmp_path),
        )
        self.sweep.folder.write_json("launch.json", {"launch": "L1"})
        self.shown, self.written = Shown(), Written()
        cells = build_grid(self.sweep)
        self.policy = GridPolicy(
            self.sweep,
            Schedule(cells, {cell.cell_id: 1.0 for cell in cells}),
            {c.cell_id: cell_task(c.cell_id, parent_id=c.parent_id) for c in cells},
            self.shown,
            self.written,  # type: ignore[arg-type]
        )
        self.running: list[CellTask] = []

    def folder(self, task: CellTask) -> Folder:
        return cell_folder(self.sweep, task.cell_id)

    def take(self) -> CellTask:
        task = self.policy.next(self.running)
        assert isinstance(task, CellTask)
        self.running.append(task)
        return task

    def train(self, task: CellTask, status: Status = Status.DONE) -> None:
        """As a worker does."""
        attempt = Attempt(self.folder(task), self.sweep.folder, "L1")
        attempt.begin(task.cell_id, task.fingerprint)
        said = {"attempt": attempt.attempt_id, "weights_sha256": "ab"}
        attempt.end(result_of(task.cell_id, status, **said))

    def end(self, task: CellTask, failure: str | None = None) -> None:
        self.running.remove(task)
        self.policy.ended(task, None, failure)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return World(tmp_path)


def stages(tasks: list[CellTask]) -> set[str]:
    return {task.cell_id.split("/")[0] for task in tasks}


def test_a_finetune_is_handed_out_when_its_own_parent_is_done(world: World) -> None:
    first = [world.take() for _ in range(3)]
    assert stages(first) == {Stage.PRETRAIN, Stage.SCRATCH}
    assert world.policy.next(world.running) is NoTask.WAIT, "the rest waits"
    parent = first[0]
    world.train(parent)
    world.end(parent)
    child = world.take()
    assert child.parent_id == parent.cell_id
    assert child.initial_weights is not None
    assert child.initial_weights.sha256 == "ab"
    assert world.written.results == [(parent.cell_id, Status.DONE)]
    assert read_result(world.folder(parent), RESULT) is not None, "it is decided"


def test_children_of_what_failed_or_diverged_are_blocked_and_the_launch_ends(world: World) -> None:
    first, second, third = (world.take() for _ in range(3))
    world.end(first, "its machine went away")
    world.train(second, Status.DIVERGED)
    world.end(second)
    world.end(third)
    assert world.policy.next([]) is NoTask.END
    assert len(world.shown.of("blocked")) == 4
    assert ("failed", first.cell_id, "its machine went away") in world.shown.seen
    assert ("diverged", second.cell_id, None) in world.shown.seen
    assert ("failed", third.cell_id, "ended without an outcome") in world.shown.seen
    failed = read_result(world.folder(first), RESULT)
    assert failed is not None
    assert (failed.status, failed.bytes_seen, failed.test_loss) == (Status.FAILED, 0, None)


def test_a_process_that_was_lost_after_its_work_was_done_has_done_it(world: World) -> None:
    task = world.take()
    world.train(task)
    world.end(task, "its process was killed")
    assert world.written.results == [(task.cell_id, Status.DONE)]


def test_a_cancelled_cell_is_not_handed_out_and_blocks_its_children(world: World) -> None:
    cell_id = "pretrain/related/400k/nano/s0"
    cancel(cell_folder(world.sweep, cell_id))
    assert cell_id not in [world.take().cell_id for _ in range(2)]
    assert ("said", f"{cell_id}: cancelled") in world.shown.seen
    assert len(world.shown.of("blocked")) == 2


def test_a_cell_that_is_cancelled_while_it_runs_has_no_result(world: World) -> None:
    task = world.take()
    cancel(world.folder(task))
    world.end(task, "CancelledError: it was cancelled")
    assert world.shown.of("cancelled") == [task.cell_id]
    assert world.written.ended_by_hand == [task.cell_id], "its run ends in the store"
    assert read_result(world.folder(task), RESULT) is None
    assert world.written.results == []


def test_a_lost_cell_is_in_a_journal_of_its_own(world: World) -> None:
    task = world.take()
    assert not world.policy.is_over(task, None)
    for pause in (1.0, 2.0):
        loss = Interruption(
            "its machine went away", "b (10.0.0.2)", counts=False, pause_seconds=pause
        )
        world.policy.interrupted(task, loss)
    rows = [json.loads(line) for line in world.folder(task).read("losses.jsonl").splitlines()]
    assert [(row["task"], row["node"], row["counts"], row["pause_seconds"]) for row in rows] == [
        (task.cell_id, "b (10.0.0.2)", False, 1.0),
        (task.cell_id, "b (10.0.0.2)", False, 2.0),
    ]
    assert world.shown.of("lost") == [task.cell_id] * 2
    assert "retrying in 2 s" in str(world.shown.seen[-1][2])
    # Its process may also have been lost after its work was done.
    world.train(task)
    assert world.policy.is_over(task, None)


def test_a_cell_that_was_cancelled_is_not_tried_again(world: World) -> None:
    task = world.take()
    cancel(world.folder(task))
    assert world.policy.is_over(task, None)


def test_a_cell_without_room_waits_and_is_handed_out_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [True]
    monkeypatch.setattr(module, "has_room", lambda sweep, wanted, running: room[0])
    first = world.take()
    room[0] = False
    assert world.policy.next(world.running) is NoTask.WAIT
    assert world.policy.next(world.running) is NoTask.WAIT
    room[0] = True
    others = [world.take() for _ in range(2)]
    assert len({task.cell_id for task in (first, *others)}) == 3, "none was lost while it waited"


def test_what_a_cell_reports_is_shown_and_recorded_and_stops_nothing(world: World) -> None:
    task = world.take()
    report = CellReport(attempt="7", row=report_of())
    world.policy.started(task)
    assert not world.policy.is_stopped(task, report)
    world.policy.reported(task, report)
    assert world.shown.of("started") == world.shown.of("reported") == [task.cell_id]
    assert world.written.reports == [(task.cell_id, "7")]


def test_a_worker_group_is_seen_by_its_journal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydt.orchestration.grid.groups._POLL_SECONDS", 0.01)
    task = world.take()
    group = task.model_copy(
        update={"processes": task.processes.model_copy(update={"num_workers": 2})}
    )
    attempt = Attempt(world.folder(task), world.sweep.folder, "L1")
    attempt.begin(task.cell_id, task.fingerprint)
    attempt.write(report_of())
    with world.policy:
        world.policy.started(group)
        while not world.written.reports:
            pass
    assert world.written.reports[0] == (task.cell_id, attempt.attempt_id)


class LaterSeeds(Schedule):
    """As a policy has it that adds seeds: those of a second seed are ready when the first is done,
    and are given up where that is enough."""

    def __init__(self, first: Cell, second: Cell, enough: bool) -> None:
        super().__init__([first, second], {first.cell_id: 1.0, second.cell_id: 1.0})
        self._second, self._enough = second, enough
        self._ready = [each for each in self._ready if each[1] != second.cell_id]
        self._waiting.add(second.cell_id)

    def done(self, cell_id: str) -> None:
        super().done(cell_id)
        if cell_id != self._second.cell_id:
            if self._enough:
                self._waiting.discard(self._second.cell_id)
            else:
                self._make_ready(self._second.cell_id)


@pytest.mark.parametrize("enough", [True, False])
def test_another_schedule_makes_a_policy_that_adds_seeds(world: World, enough: bool) -> None:
    sweep = world.sweep.model_copy(update={"seeds": (0, 1)})
    first, second = (cell for cell in build_grid(sweep) if cell.stage is Stage.SCRATCH)
    tasks = {cell.cell_id: cell_task(cell.cell_id) for cell in (first, second)}
    schedule = LaterSeeds(first, second, enough)
    world.policy = GridPolicy(sweep, schedule, tasks, world.shown, world.written)  # type: ignore[arg-type]
    task = world.take()
    assert task.cell_id == first.cell_id
    assert world.policy.next(world.running) is NoTask.WAIT
    world.train(task)
    world.end(task)
    following = world.policy.next([])
    assert following is NoTask.END if enough else following == tasks[second.cell_id]
