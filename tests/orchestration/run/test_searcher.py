"""Searcher, callback and stopper ask a policy and pass on what happens, without Ray running."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ray.exceptions import NodeDiedError, RayTaskError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from raydt.orchestration.cluster.ray_private import errors_of_trials
from raydt.orchestration.run.events import Events, PolicyStopper
from raydt.orchestration.run.policy import Interruption, NoTask
from raydt.orchestration.run.searcher import PolicySearcher
from raydt.orchestration.run.task import CellReport, CellTask, received, sent_report
from raydt.orchestration.run.trial import run_trial
from raydt.orchestration.run.tries import Tries
from tests.grid.results import report_of
from tests.orchestration.tasks import cell_task


class OneNode:
    """A cluster of one node."""

    def alive(self) -> Mapping[str, Mapping[str, float]]:
        return {"here": {"CPU": 2.0}}

    def node_of(self, actor: str) -> str | None:
        return "here"

    def name(self, node: str) -> str:
        return node


class TwoTasks:
    """A policy with two tasks, one at a time, that stops a trial after 16 bytes."""

    report_kind = CellReport
    trainable = staticmethod(run_trial)

    def __init__(self) -> None:
        self.left = [cell_task("a"), cell_task("b")]
        self.seen: list[tuple[object, ...]] = []

    def next(self, running: Sequence[CellTask]) -> CellTask | NoTask:
        if running:
            return NoTask.WAIT
        return self.left.pop(0) if self.left else NoTask.END

    def started(self, task: CellTask) -> None:
        self.seen.append(("started", task.cell_id))

    def is_over(self, task: CellTask, last: CellReport | None) -> bool:
        return False

    def interrupted(self, task: CellTask, interruption: Interruption) -> None:
        self.seen.append(("lost", task.cell_id, interruption.reason, interruption.counts))

    def print(self, line: str) -> None:
        self.seen.append(("said", line))

    def reported(self, task: CellTask, report: CellReport) -> None:
        self.seen.append(("reported", task.cell_id, report.row.bytes_seen))

    def is_stopped(self, task: CellTask, report: CellReport) -> bool:
        return report.row.bytes_seen >= 16

    def ended(self, task: CellTask, last: CellReport | None, failure: str | None) -> None:
        self.seen.append(("ended", task.cell_id, last and last.row.bytes_seen, failure))


def result(bytes_seen: int) -> dict[str, Any]:
    report = CellReport(attempt="1", row=report_of(bytes_seen))
    return {**sent_report(report), "training_iteration": 1}


def trial_of(trial_id: str, last: dict[str, Any] | None) -> Any:
    """As Tune has it: in no actor, as far as we know."""
    return SimpleNamespace(
        trial_id=trial_id,
        last_result=last,
        temporary_state=SimpleNamespace(ray_actor=None),
    )


def test_from_the_first_task_to_the_last() -> None:
    policy = TwoTasks()
    tries = Tries(policy, OneNode(), max_retries=1)
    searcher = PolicySearcher(policy, tries)
    events, stopper = Events(policy, tries), PolicyStopper(policy, tries)
    config = searcher.suggest("1")
    assert isinstance(config, dict)
    assert received(config, CellTask) == cell_task("a")
    assert searcher.suggest("2") is None, "the first runs"
    trial = trial_of("1", result(16))
    events.on_trial_start(0, [], trial)
    assert not stopper("1", result(8))
    events.on_trial_result(0, [], trial, result(8))
    assert stopper("1", result(16))
    assert not stopper("1", {"training_iteration": 1})
    assert not stopper.stop_all()
    # As Tune does: first the searcher, then its callbacks.
    searcher.on_trial_complete("1")
    events.on_trial_complete(0, [], trial)
    for number in ("2", "3"):
        again = searcher.suggest(number)
        assert isinstance(again, dict)
        assert received(again, CellTask) == cell_task("b")
        searcher.on_trial_complete(number, error=True)
        raised = ValueError("no such thing")
        text = "Traceback\n  File x\nValueError: no such thing\n\n"
        errors_of_trials()[number] = RayTaskError("f", text, raised)
        events.on_trial_error(0, [], trial_of(number, None))
    assert searcher.suggest("4") == Searcher.FINISHED
    assert policy.seen == [
        ("started", "a"),
        ("reported", "a", 8),
        ("ended", "a", 16, None),
        ("lost", "b", "ValueError: no such thing", True),
        ("ended", "b", None, "ValueError: no such thing"),
    ]


def test_an_error_of_rays_is_taken_as_it_was_raised() -> None:
    """Of a lost process the text alone would look like an exception of the cell's own."""
    policy = TwoTasks()
    tries = Tries(policy, OneNode(), max_retries=0)
    PolicySearcher(policy, tries).suggest("1")
    events = Events(policy, tries)
    own = SimpleNamespace(num_failures=0, invalidate_cache=lambda: None)
    trial = SimpleNamespace(trial_id="1", is_restoring=False, run_metadata=own, local_path=None)
    Trial.handle_error(trial, NodeDiedError("it went away"))
    assert own.num_failures == 1, "Tune's own bookkeeping is as before"
    events.on_trial_error(0, [], trial_of("1", None))
    assert policy.seen == [("lost", "a", "its machine went away (NodeDiedError)", False)]


def test_tune_may_pickle_them_and_does_not_limit_what_runs() -> None:
    policy = TwoTasks()
    tries = Tries(policy, OneNode(), max_retries=1)
    searcher = PolicySearcher(policy, tries)
    assert searcher.set_max_concurrency(3) is True
    for one in (searcher, Events(policy, tries), PolicyStopper(policy, tries)):
        assert type(pickle.loads(pickle.dumps(one))) is object
