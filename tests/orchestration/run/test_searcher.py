"""Searcher, callback and stopper ask a policy and pass on what happens, without Ray running."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.search import Searcher

from raydt.orchestration.run.events import Events, PolicyStopper, reason_of
from raydt.orchestration.run.policy import Nothing
from raydt.orchestration.run.searcher import PolicySearcher
from raydt.orchestration.run.task import CellReport, CellTask, received, sent_report
from raydt.orchestration.run.trial import run_trial
from tests.grid.results import report_of
from tests.orchestration.tasks import cell_task


class TwoTasks:
    """A policy with two tasks, one at a time, that stops a trial after 16 bytes."""

    report_kind = CellReport
    trainable = staticmethod(run_trial)
    max_tasks = 2

    def __init__(self) -> None:
        self.left = [cell_task("a"), cell_task("b")]
        self.seen: list[tuple[object, ...]] = []

    def next(self, running: Sequence[CellTask]) -> CellTask | Nothing:
        if running:
            return Nothing.YET
        return self.left.pop(0) if self.left else Nothing.EVER

    def started(self, task: CellTask) -> None:
        self.seen.append(("started", task.cell_id))

    def reported(self, task: CellTask, report: CellReport) -> None:
        self.seen.append(("reported", task.cell_id, report.row.bytes_seen))

    def is_stopped(self, task: CellTask, report: CellReport) -> bool:
        return report.row.bytes_seen >= 16

    def ended(self, task: CellTask, last: CellReport | None, failure: str | None) -> None:
        self.seen.append(("ended", task.cell_id, last and last.row.bytes_seen, failure))


def result(bytes_seen: int) -> dict[str, Any]:
    report = CellReport(attempt="1", row=report_of(bytes_seen))
    return {**sent_report(report), "training_iteration": 1}


def test_from_the_first_task_to_the_last() -> None:
    policy = TwoTasks()
    searcher = PolicySearcher(policy)
    events, stopper = Events(policy, searcher), PolicyStopper(policy, searcher)
    config = searcher.suggest("1")
    assert isinstance(config, dict)
    assert received(config, CellTask) == cell_task("a")
    assert searcher.suggest("2") is None, "the first runs"
    trial = SimpleNamespace(trial_id="1", last_result=result(16), error_file=None)
    events.on_trial_start(0, [], trial)
    assert not stopper("1", result(8))
    events.on_trial_result(0, [], trial, result(8))
    assert stopper("1", result(16))
    assert not stopper("1", {"training_iteration": 1})
    assert not stopper.stop_all()
    # As Tune does: first the searcher, then its callbacks.
    searcher.on_trial_complete("1")
    events.on_trial_complete(0, [], trial)
    assert isinstance(searcher.suggest("2"), dict)
    searcher.on_trial_complete("2", error=True)
    events.on_trial_error(0, [], SimpleNamespace(trial_id="2", last_result=None, error_file=None))
    assert searcher.suggest("3") == Searcher.FINISHED
    assert policy.seen == [
        ("started", "a"),
        ("reported", "a", 8),
        ("ended", "a", 16, None),
        ("ended", "b", None, "no error was recorded"),
    ]


def test_tune_may_pickle_them_and_does_not_limit_what_runs() -> None:
    searcher = PolicySearcher(TwoTasks())
    assert searcher.set_max_concurrency(3) is True
    for one in (searcher, Events(TwoTasks(), searcher), PolicyStopper(TwoTasks(), searcher)):
        assert type(pickle.loads(pickle.dumps(one))) is object


def test_a_lost_process_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "error.txt"
    path.write_text("Failure # 1\nray.exceptions.ActorDiedError: The actor died\n  ip: 1\n")
    assert reason_of(str(path)) == "its process was killed, or died for lack of memory"
    path.write_text("Traceback\n  File x\nValueError: no such thing\n\n")
    assert reason_of(str(path)) == "ValueError: no such thing"
