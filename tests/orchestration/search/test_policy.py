"""What a search's policy makes of trials, on a real record and without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.orchestration.run.policy import Interruption, NoTask
from raydt.orchestration.search.policy import SearchPolicy
from raydt.orchestration.search.task import SearchTask, TrialReport, search_task
from raydt.terminal.search_progress import SearchProgress
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.tuning.trials import TrialRecord
from tests.tuning.test_search_converged import plan_of


class Shown(SearchProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, ...]] = []

    def started(self, trial: Trial) -> None:
        self.seen.append(("started", trial.trial_id))

    def reported(self, trial: Trial, row: tuple[int, float]) -> None:
        self.seen.append(("reported", trial.trial_id, row))

    def ended(self, finished: Finished) -> None:
        self.seen.append((finished.end, finished.trial.trial_id))

    def interrupted(self, trial: Trial, line: str) -> None:
        self.seen.append(("lost", trial.trial_id, line))

    def failed(self, trial: Trial, reason: str) -> None:
        self.seen.append(("failed", trial.trial_id, reason))


class Written:
    """In the place of the store's recorder."""

    def __init__(self) -> None:
        self.finished: list[Finished] = []

    def ended(self, finished: Finished) -> None:
        self.finished.append(finished)


class World:
    def __init__(self, tmp_path: Path) -> None:
        plan = plan_of(tmp_path, slots=2)
        self.search = Search(plan, TrialRecord(plan.folder), lambda _: None)
        self.shown, self.written = Shown(), Written()
        sizes = dict.fromkeys(plan.sweep.train_bytes(), 2_000)
        locations = dict.fromkeys(sizes, "a folder")
        self.policy = SearchPolicy(
            self.search,
            lambda trial: search_task(self.search, trial, locations, sizes, lambda *_: "d" * 64),
            self.shown,
            self.written,  # type: ignore[arg-type]
        )

    def take(self, running: list[SearchTask]) -> SearchTask:
        task = self.policy.next(running)
        assert isinstance(task, SearchTask)
        return task


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return World(tmp_path)


LOSSES = ((1_000, 2.0), (2_000, 1.75))
LAST_WORD = TrialReport(
    val_losses=LOSSES, bytes_seen=2_100, seconds=3.0, end=End.DONE, weights_sha256="ab"
)
ON_ITS_WAY = TrialReport(val_losses=LOSSES, bytes_seen=2_000, seconds=2.0)


def test_as_many_as_there_are_slots_and_the_search_is_asked_no_earlier(world: World) -> None:
    first = world.take([])
    second = world.take([first])
    assert first.trial_id != second.trial_id
    assert world.policy.next([first, second]) is NoTask.WAIT
    assert len(world.search.running) == 2, "the third was not asked for"


def test_a_trial_that_said_its_last_word_is_in_the_record(world: World) -> None:
    task = world.take([])
    world.policy.started(task)
    report = TrialReport(val_losses=LOSSES[:1], bytes_seen=1_000, seconds=1.0)
    assert not world.policy.is_stopped(task, report), "a baseline"
    world.policy.reported(task, report)
    world.policy.ended(task, LAST_WORD, None)
    finished = world.search.record.finished[task.trial_id]
    assert (finished.end, finished.val_losses, finished.bytes_seen) == (End.DONE, LOSSES, 2_100)
    assert finished.weights_sha256 == "ab"
    assert world.written.finished == [finished]
    assert world.shown.seen == [
        ("started", task.trial_id),
        ("reported", task.trial_id, (1_000, 2.0)),
        (End.DONE, task.trial_id),
    ]


def test_a_lost_trial_is_in_the_searchs_journal(world: World) -> None:
    task = world.take([])
    assert not world.policy.is_over(task, None)
    world.policy.interrupted(
        task, Interruption("its machine went away", None, counts=False, pause_seconds=1.0)
    )
    (row,) = world.search.plan.folder.read("losses.jsonl").splitlines()
    assert json.loads(row)["task"] == task.trial_id
    assert world.shown.seen[-1][:2] == ("lost", task.trial_id)
    assert task.trial_id in world.search.running, "it runs again"
    # One that had said its last word is done, whatever became of its process.
    assert world.policy.is_over(task, LAST_WORD)
    world.policy.ended(task, LAST_WORD, "its machine went away")
    assert world.search.record.finished[task.trial_id].end is End.DONE


def test_who_has_not_said_its_last_word_was_stopped(world: World) -> None:
    task = world.take([])
    world.policy.ended(task, TrialReport(val_losses=LOSSES, bytes_seen=2_000, seconds=1.0), None)
    assert world.search.record.finished[task.trial_id].end is End.STOPPED


def test_the_last_word_is_no_evaluation_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world.take([])
    asked: list[object] = []
    monkeypatch.setattr(
        world.search, "is_stopped", lambda trial, curve: bool(asked.append(curve)) or True
    )
    assert world.policy.is_stopped(
        task, TrialReport(val_losses=LOSSES, bytes_seen=2_000, seconds=1.0)
    )
    assert not world.policy.is_stopped(task, LAST_WORD)
    assert asked == [LOSSES]


@pytest.mark.parametrize("last", [None, ON_ITS_WAY], ids=["no report", "reports"])
def test_a_trial_that_failed_says_nothing(world: World, last: TrialReport | None) -> None:
    task = world.take([])
    world.policy.ended(task, last, "its machine went away")
    assert world.search.record.finished == {}
    assert list(world.search.failed) == [task.trial_id]
    assert world.shown.seen == [("failed", task.trial_id, "its machine went away")]


def test_a_finetune_starts_from_the_weights_that_its_parent_kept(world: World) -> None:
    """Everything before it ends at once, as planted."""
    parents: dict[str, SearchTask] = {}
    while True:
        task = world.take([])
        trial = world.search.running[task.trial_id]
        if trial.kind is Kind.PARENT:
            assert task.keep_weights is not None
            parents[str(trial.source)] = task
        else:
            assert task.keep_weights is None
        if task.initial_weights is not None:
            break
        world.policy.ended(task, LAST_WORD, None)
    kept = parents[str(trial.source)].keep_weights
    assert kept is not None
    weights = task.initial_weights
    assert (weights.folder, weights.name, weights.sha256) == (kept.folder, kept.name, "ab")
