"""In the store a cell has one run, whatever became of what its folder knows of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from raydt.storage.local import LocalFolder
from raydt.tracking import schema
from raydt.tracking.recorded import STATE, experiment_key, is_recorded, read_state
from raydt.tracking.store import open_store
from raydt.tracking.uri import sqlite_uri
from raydt.tracking.writer import Writer
from tests.grid.results import report_of, result_of

CELL = "scratch/de/2k/nano/s0"
FACTS: dict[str, object] = {schema.TAG_CELL_ID: CELL, schema.PARAM_SEED: 0}
ROWS = [report_of(2048, 2.5, time=100.0), report_of(4096, 2.25, time=101.0)]


class Place:
    """A storage with one cell and a store."""

    def __init__(self, path: Path, store: Path | None = None) -> None:
        self.uri = sqlite_uri(store or path / "mlflow.db")
        self.folder = LocalFolder(path / "cell")

    def sync(self, attempt: str, num_rows: int, done: bool = False) -> None:
        """What a launch of its own, or `raydt sync`, writes."""
        writer = Writer(open_store(self.uri), self.uri, "sweep")
        result = result_of(bytes_seen=4096, test_loss=2.0, attempt=attempt) if done else None
        writer.sync(self.folder, "a cell", FACTS, ROWS[:num_rows], attempt, result)

    def runs(self) -> list[Any]:
        client = open_store(self.uri)
        experiment = client.get_experiment_by_name("sweep")
        return list(client.search_runs([experiment.experiment_id]))

    def history(self) -> list[float]:
        (run,) = self.runs()
        metrics = open_store(self.uri).get_metric_history(run.info.run_id, schema.METRIC_VAL_LOSS)
        return [metric.value for metric in metrics]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "storage")


def test_where_the_folders_file_is_truncated(place: Place) -> None:
    place.sync("1", 1)
    path = Path(place.folder.uri) / STATE
    path.write_bytes(path.read_bytes()[:20])
    place.sync("1", 2, done=True)
    assert place.history() == [2.5, 2.25]


def test_where_the_sweeps_folder_is_gone(place: Place) -> None:
    place.sync("1", 2, done=True)
    shutil.rmtree(place.folder.uri)
    place.sync("2", 1)
    (run,) = place.runs()
    assert run.data.tags[schema.TAG_ATTEMPT] == "2"
    assert place.history() == [2.5]


def test_where_it_went_to_another_store_and_back(place: Place, tmp_path: Path) -> None:
    place.sync("1", 1)
    other = Place(tmp_path / "storage", tmp_path / "other.db")
    other.sync("2", 2)  # the first attempt was cut off in between
    place.sync("2", 2, done=True)
    (run,) = place.runs()
    assert run.data.tags[schema.TAG_ATTEMPT] == "2"
    assert place.history() == [2.5, 2.25]


def test_an_attempt_that_was_cut_off_is_replaced(place: Place) -> None:
    place.sync("1", 2)
    place.sync("2", 1)
    (run,) = place.runs()
    assert run.data.tags[schema.TAG_ATTEMPT] == "2"


def test_within_one_launch_too(place: Place) -> None:
    writer = Writer(open_store(place.uri), place.uri, "sweep")
    for attempt in ("1", "2"):
        writer.sync(place.folder, "a cell", FACTS, ROWS[:1], attempt, None)
    (run,) = place.runs()
    assert run.data.tags[schema.TAG_ATTEMPT] == "2"


def test_of_a_storage_that_was_moved_nothing_is_written_anew(place: Place, tmp_path: Path) -> None:
    place.sync("1", 2, done=True)
    (before,) = place.runs()
    (tmp_path / "storage").rename(tmp_path / "moved")
    moved = Place(tmp_path / "moved")
    experiment = experiment_key(moved.uri, "sweep")
    assert is_recorded(moved.folder, moved.uri, experiment, "1")
    assert not is_recorded(moved.folder, moved.uri, experiment, "2"), "an attempt before it"
    moved.sync("1", 2, done=True)
    (after,) = moved.runs()
    assert after.info.run_id == before.info.run_id
    state = read_state(moved.folder)
    assert state is not None
    assert state.store_uri == moved.uri
    # A store that was made anew under the same name is another one.
    Path(moved.uri.removeprefix("sqlite:///")).unlink()
    moved.sync("1", 2, done=True)
    assert moved.history() == [2.5, 2.25]


@pytest.mark.parametrize("counts", ["1", "2"])
def test_a_cell_that_was_cancelled_ends(place: Place, counts: str) -> None:
    place.sync("1", 2)
    writer = Writer(open_store(place.uri), place.uri, "sweep")
    writer.cancelled(place.folder)
    (run,) = place.runs()
    assert run.info.status == "KILLED"
    assert run.data.tags[schema.TAG_STATUS] == "cancelled"
    writer.cancelled(place.folder)  # again, and nothing happens
    # After `raydt retry` another attempt takes its place, or it counts itself: it was over before.
    assert not is_recorded(place.folder, place.uri, experiment_key(place.uri, "sweep"), "1")
    place.sync(counts, 2, done=True)
    (run,) = place.runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags[schema.TAG_STATUS] == "done"


def test_rm_deletes_every_run_of_a_cell(place: Place) -> None:
    place.sync("1", 1)
    writer = Writer(open_store(place.uri), place.uri, "sweep")
    writer.delete("scratch/de/2k/nano/s1")
    assert len(place.runs()) == 1
    writer.delete(CELL)
    assert place.runs() == []
