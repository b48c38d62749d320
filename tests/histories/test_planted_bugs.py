"""A test of the test: bugs that were there, or could be, are each found by some history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import LoggedModelOutput

from raydt.errors import RunError
from raydt.grid import journal
from raydt.grid.journal import CHECKPOINTS, RESULT, Attempt, attempt_folder, attempts
from raydt.grid.journal_rows import EndRow, ReportRow
from raydt.grid.lease import is_alive, running_launch
from raydt.grid.result import write_result
from raydt.orchestration import cells, launch, sync
from raydt.orchestration.grid import commit
from raydt.orchestration.run.resuming import AttemptCheckpoints
from raydt.storage import local
from raydt.storage.local import LocalFolder
from raydt.tracking.cell_runs import CellRuns
from raydt.tracking.logged_models import LoggedModels
from tests.histories.test_histories import cache, histories, world
from tests.histories.world import Faults, ViolationError

__all__ = ["cache", "world"]  # fixtures
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

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

    patch.setattr(cells, "hold_sweep", look)
    patch.setattr(sync, "hold_sweep", look)


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


def reports_are_kept_back(patch: Patch) -> None:
    """Committed before the journal: an attempt's reports are journalled after its outcome."""
    write = Attempt.write
    kept: dict[str, list[ReportRow]] = {}

    def keep(self: Attempt, row: Any) -> None:
        if isinstance(row, ReportRow):
            self.check_held()
            kept.setdefault(self.attempt_id, []).append(row)
        else:
            write(self, row)

    def end(self: Attempt, outcome: Any) -> None:
        write_result(self.folder, "outcome.json", outcome)
        for row in [*kept.pop(self.attempt_id, []), EndRow(status=outcome.status)]:
            write(self, row)

    patch.setattr(Attempt, "write", keep)
    patch.setattr(Attempt, "end", end)


def parents_are_set_aside_first(patch: Patch) -> None:
    """Two writes, the other way round: by `raydt retry`, of a cell and of what was made from it."""
    patch.setattr(cells, "reversed", list, raising=False)


def who_slept_sets_aside_what_is_there(patch: Patch) -> None:
    """As it was until these histories: cancel sets aside the result that is there by now."""

    def set_aside(cell: Any, result: Any, *_: object) -> None:
        journal.give_up(cell, lambda: None)

    patch.setattr(cells, "set_aside", set_aside)


def files_are_not_synced(patch: Patch) -> None:
    """A file is whole by its name before its bytes are on the disk."""
    patch.setattr(local, "_write", lambda path, data: path.write_bytes(data))


def folders_are_not_synced(patch: Patch) -> None:
    """A file's bytes are on the disk, and its name is not."""
    patch.setattr(local, "sync_folder", lambda _: None)


def journals_are_not_synced(patch: Patch) -> None:
    """Rows are passed on that a power cut takes away."""

    def append(self: LocalFolder, name: str, data: bytes) -> None:
        (self._path / name).parent.mkdir(parents=True, exist_ok=True)
        with (self._path / name).open("ab") as file:
            file.write(data)

    patch.setattr(LocalFolder, "append", append)


@dataclass(frozen=True)
class Planted:
    """A bug, and what has to go wrong often for it to be found soon; None: what a seed draws."""

    bug: Callable[[Patch], None]
    faults: Faults | None = None
    at_most: int = 600  # histories


# What only a process that sleeps at the wrong moment does is found where they sleep often.
SLEEPY = Faults(kill=10.0, pause=30.0)
ON_RESULTS = Faults(kill=5.0, pause=200.0, pause_at="result.json", cell=100.0, people=("launch",))
ASLEEP_ON_RESULTS = Faults(pause=200.0, pause_at="result.json", people=("launch",))
ON_LEASES = Faults(kill=5.0, pause=100.0, pause_at="lease.json", people=("launch",))
BY_HAND = Faults(kill=20.0, people=("retry", "remove", "launch"))
BY_HAND_ASLEEP = Faults(kill=5.0, pause=60.0, people=("retry", "remove", "sync", "launch"))
CANCELLING = Faults(
    kill=5.0, pause=200.0, pause_at="cancelled.json", cell=300.0, people=("cancel", "launch")
)
POWER = Faults(power=20.0)

EVERY = [
    SLEEPY, ON_RESULTS, ASLEEP_ON_RESULTS, ON_LEASES, BY_HAND, BY_HAND_ASLEEP, CANCELLING, POWER,
]  # fmt: skip

BUGS = [
    Planted(the_outcome_is_before_the_journal),
    Planted(reports_are_kept_back),
    Planted(recorded_before_it_is_written),
    Planted(checkpoints_of_another_text),
    Planted(two_runs_of_a_cell),
    Planted(two_models_of_a_run),
    Planted(a_model_is_linked_again),
    Planted(another_attempt_is_taken_for_recorded),
    Planted(the_lease_is_not_looked_at, ON_RESULTS),
    Planted(nothing_is_fenced, ASLEEP_ON_RESULTS),
    Planted(people_take_no_lock, BY_HAND_ASLEEP),
    Planted(a_lost_driver_fails_cells, ON_RESULTS),
    Planted(who_slept_takes_the_cell, ON_LEASES),
    Planted(results_go_with_their_files, BY_HAND),
    Planted(parents_are_set_aside_first, BY_HAND),
    Planted(who_slept_sets_aside_what_is_there, CANCELLING),
    Planted(files_are_not_synced, POWER),
    Planted(folders_are_not_synced, POWER),
    Planted(journals_are_not_synced, POWER),
]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.bug.__name__)
def test_a_planted_bug_is_found(planted: Planted, cache: Path, monkeypatch: Patch) -> None:
    planted.bug(monkeypatch)
    for seed in range(planted.at_most):
        try:
            histories(cache, range(seed, seed + 1), planted.faults)
        except ViolationError as error:
            print(f"{planted.bug.__name__}: found after {seed + 1} histories: {_first(error)}")
            return
    pytest.fail(f"not found in {planted.at_most} histories")


def _first(error: ViolationError) -> str:
    return str(error).partition("\n")[0]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("faults", EVERY)
def test_without_a_bug_no_rule_is_broken(faults: Faults, cache: Path) -> None:
    assert histories(cache, range(200), faults) == 200
