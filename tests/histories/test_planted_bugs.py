"""A test of the test: bugs that were there, or could be, are each found by some history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import LoggedModelOutput

from raydt.errors import RunError
from raydt.grid import journal
from raydt.grid.journal import CHECKPOINTS, RESULT, Attempt, attempt_folder, attempts
from raydt.grid.journal_rows import EndRow
from raydt.grid.lease import is_alive, running_launch
from raydt.grid.result import write_result
from raydt.orchestration import cells, launch, sync
from raydt.orchestration.grid import commit
from raydt.orchestration.run.resuming import AttemptCheckpoints
from raydt.tracking.cell_runs import CellRuns
from raydt.tracking.logged_models import LoggedModels
from tests.histories.test_histories import cache, histories, world
from tests.histories.world import Faults, ViolationError

__all__ = ["cache", "world"]  # fixtures
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
_MOST_HISTORIES = 600

Patch = pytest.MonkeyPatch


def the_lease_is_not_looked_at(patch: Patch) -> None:
    """Before a result is written."""
    patch.setattr(commit, "check_launch", lambda *_: None)


def nothing_is_fenced(patch: Patch) -> None:
    """By who takes a sweep over: a driver that slept between its look and its write."""
    patch.setattr(launch, "fence", lambda *_: 0)
    patch.setattr(cells, "fence", lambda *_: 0)


def the_outcome_is_before_the_journal(patch: Patch) -> None:
    """Two writes, the other way round."""

    def end(self: Attempt, outcome: Any) -> None:
        write_result(self.folder, "outcome.json", outcome)
        self.write(EndRow(status=outcome.status))

    patch.setattr(Attempt, "end", end)


def recorded_before_it_is_written(patch: Patch) -> None:
    """`mlflow.json` says that all is there, and then it is written."""
    begun = CellRuns._begun

    def as_if_ended(self: CellRuns, attempt: str, run_id: str | None) -> Any:
        return begun(self, attempt, run_id).model_copy(update={"ended": True})

    patch.setattr(CellRuns, "_begun", as_if_ended)


def people_take_no_lock(patch: Patch) -> None:
    """The audit's 3: rm, retry and sync look at the beat, and begin."""

    @contextmanager
    def look(sweep: Any) -> Iterator[Any]:
        if is_alive(running_launch(sweep.folder)):
            raise RunError("a launch is at work")
        yield SimpleNamespace(check_held=lambda: None)

    patch.setattr(cells, "at_rest", look)
    patch.setattr(sync, "at_rest", look)


def checkpoints_of_another_text(patch: Patch) -> None:
    """The audit's 4: whatever an earlier attempt left is taken over."""

    def take_over(self: AttemptCheckpoints, cell: Any, attempt_id: str, *_: object) -> None:
        for earlier in reversed([a for a in attempts(cell) if a != attempt_id]):
            place = attempt_folder(cell, earlier) / CHECKPOINTS
            names = place.names()
            if any(name.endswith(".json") for name in names):
                for name in names:
                    place.fetch(name, self.path / name)
                return

    patch.setattr(AttemptCheckpoints, "take_over", take_over)


def a_lost_driver_fails_cells(patch: Patch) -> None:
    """The audit's 8: a result is written without a look or a condition."""

    def write(cell: Any, result: Any, *_: object) -> Any:
        write_result(cell, RESULT, result)
        return result

    patch.setattr(commit, "decide", write)


def two_runs_of_a_cell(patch: Patch) -> None:
    """The audit's 9: a new run is made, and the one before it stays."""
    patch.setattr(CellRuns, "found", lambda *_: None)


def two_models_of_a_run(patch: Patch) -> None:
    """What was made before a kill is not looked for."""
    patch.setattr(LoggedModels, "_of", lambda *_: [])


def a_model_is_linked_again(patch: Patch) -> None:
    """By who resumes: MLflow does not take that twice."""

    def link(self: LoggedModels, run_id: str, model_id: str, bytes_seen: int) -> None:
        self._client.log_outputs(run_id, [LoggedModelOutput(model_id, bytes_seen)])

    patch.setattr(LoggedModels, "_link", link)


def who_slept_takes_the_cell(patch: Patch) -> None:
    """A worker's lease is written without a condition."""

    def take(cell: Any, before: Any, attempt_id: str, launch_id: str) -> None:
        lease = journal.Lease(attempt=attempt_id, launch=launch_id, time=0.0)
        cell.write_json("lease.json", lease.model_dump())

    patch.setattr(journal, "_take", take)


def results_go_with_their_files(patch: Patch) -> None:
    """`raydt rm` removes file by file, and is killed in the middle."""
    patch.setattr(cells, "give_up", lambda *_: None)


def another_attempt_is_taken_for_recorded(patch: Patch) -> None:
    """As it was until these histories: the run in MLflow is of an attempt that failed."""
    is_recorded = launch.is_recorded

    def of_any(cell: Any, store_uri: str, experiment: Any, attempt: str, *so_far: int) -> bool:
        state = launch_state(cell)
        known = attempt if state is None else state.attempt
        return is_recorded(cell, store_uri, experiment, known, *so_far)

    patch.setattr(launch, "is_recorded", of_any)


def launch_state(cell: Any) -> Any:
    from raydt.tracking.recorded import read_state

    return read_state(cell)


BUGS: list[Callable[[Patch], None]] = [
    the_outcome_is_before_the_journal,
    recorded_before_it_is_written,
    checkpoints_of_another_text,
    two_runs_of_a_cell,
    two_models_of_a_run,
    a_model_is_linked_again,
    another_attempt_is_taken_for_recorded,
]
# What only a process that sleeps at the wrong moment does is found where they sleep often.
OF_SLEEPERS = [the_lease_is_not_looked_at, nothing_is_fenced, people_take_no_lock]
SLEEPY = Faults(kill=10.0, pause=30.0)
# Not one of the first thousand histories of either kind finds these.
RARE = [a_lost_driver_fails_cells, results_go_with_their_files, who_slept_takes_the_cell]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(
    bug: Callable[[Patch], None], cache: Path, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    with pytest.raises(ViolationError):
        histories(cache, range(_MOST_HISTORIES))


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("bug", OF_SLEEPERS)
def test_a_planted_bug_of_sleepers_is_found(
    bug: Callable[[Patch], None], cache: Path, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    with pytest.raises(ViolationError):
        histories(cache, range(_MOST_HISTORIES), SLEEPY)


@pytest.mark.usefixtures("world")
def test_without_a_bug_sleepers_break_no_rule(cache: Path) -> None:
    assert histories(cache, range(200), SLEEPY) == 200


@pytest.mark.skip(reason="more histories than are made here in a reasonable time")
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("bug", RARE)
def test_a_rare_bug_is_found(bug: Callable[[Patch], None], cache: Path, monkeypatch: Patch) -> None:
    bug(monkeypatch)
    with pytest.raises(ViolationError):
        histories(cache, range(10_000))
