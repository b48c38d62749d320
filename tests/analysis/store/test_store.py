"""Opening a store and reading a sweep: clear errors, and nothing created."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from analysis.report.folder import require_ours
from analysis.store.api import ApiReader
from analysis.store.read import SweepRuns, _read, open_store, read_sweep
from analysis.table import tidy
from raydt.errors import InputError
from raydt.tracking import schema


def test_a_sqlite_file_that_is_not_there_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(InputError, match="existing SQLite file"):
        read_sweep(f"sqlite:///{path}")
    assert not path.exists()


def test_a_foreign_sqlite_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="without MLflow's tables"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at\n" * 20)
    with pytest.raises(InputError, match="MLflow store in SQLite"):
        open_store(f"sqlite:///{tmp_path / 'text.db'}")


@pytest.mark.parametrize(
    "uri",
    [
        "runs",
        "sqlite:///relative.db",
        "ftp://host/x",
        "",
        "http://",
        "http://host:99999",
        "http://host:port",
        "postgresql://me:pw@host:x/db",
        "http://[::1",
    ],
)
def test_other_uris_are_refused_with_those_that_are_known(uri: str) -> None:
    with pytest.raises(InputError, match="store") as raised:
        open_store(uri)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_server_that_does_not_answer_is_an_error(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and never listening: refused at once
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="answers") as raised:
            open_store(f"{scheme}://me:secret@127.0.0.1:{port}")
    assert "secret" not in str(raised.value)


def test_a_sweep_that_is_not_there_is_answered_with_those_that_are(
    store: Any, planted_sweep: str
) -> None:
    with pytest.raises(InputError, match=planted_sweep):
        read_sweep(store.uri, "plantd")


def test_a_store_without_a_sweep_says_so(
    store: Any, planted_sweep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The experiments of others are no sweeps; only the launches make one.
    monkeypatch.setattr("raydt.tracking.schema.KIND_LAUNCH", "something else")
    with pytest.raises(InputError, match="at least one raydt sweep"):
        read_sweep(store.uri)


def test_of_several_sweeps_the_most_recently_launched_is_taken_and_named(
    store: Any, planted_sweep: str, make_cell: Any
) -> None:
    store.client.create_experiment("somebody-elses")
    launch = store.write("latest", [make_cell("scratch", None, "de", 8_000)])
    read = read_sweep(store.uri)
    assert (read.sweep, read.launches[0].run_id) == ("latest", launch)
    assert "latest" in read.notes[0]
    assert planted_sweep in read.notes[0]
    assert read_sweep(store.uri, planted_sweep).notes == []


def test_the_newest_launch_has_the_plan_and_cells_of_all_launches_count(
    store: Any, make_cell: Any
) -> None:
    small, large = (make_cell("scratch", None, "de", size) for size in (8_000, 32_000))
    store.write("twice", [small])
    newest = store.launch("twice", [small, large])
    store.cell("twice", large)
    read = read_sweep(store.uri, "twice")
    assert read.launches[0].run_id == newest
    assert len(read.cells) == 2
    assert read.plan is not None
    assert [cell.size_bytes for cell in read.plan] == [8_000, 32_000]


def test_every_launch_adds_the_plans_of_earlier_ones(store: Any, make_cell: Any) -> None:
    small, large = (make_cell("scratch", None, "de", size) for size in (8_000, 32_000))
    store.write("grown", [small])
    store.launch("grown", [large])
    store.cell("grown", large)
    assert len(tidy(read_sweep(store.uri, "grown")).problems) == 1
    read = read_sweep(store.uri, "grown", every_launch=True)
    assert sorted(cell.size_bytes for cell in read.plan or ()) == [8_000, 32_000]
    table = tidy(read)
    assert sorted(table.cells["size_bytes"]) == [8_000, 32_000]
    assert not table.problems


def same(one: SweepRuns, other: SweepRuns) -> None:
    assert sorted(one.cells, key=lambda run: run.run_id) == sorted(
        other.cells, key=lambda run: run.run_id
    )
    assert [run.run_id for run in one.launches] == [run.run_id for run in other.launches]
    assert one.plan == other.plan


def test_the_tables_and_the_client_give_the_same_runs(
    store: Any, make_cell: Any, change: Any
) -> None:
    cells = [
        make_cell("scratch", None, "de", 8_000),
        make_cell("scratch", None, "de", 32_000, status="running"),
        make_cell("finetune", "en", "de", 8_000, status="diverged", reason="loss is nan"),
        make_cell("finetune", "zh", "de", 8_000, loss=float("inf")),
    ]
    store.write("ways", cells)
    deleted = store.cell("ways", change(cells[0], loss=9.9))
    store.client.delete_run(deleted)
    tables = read_sweep(store.uri, "ways")
    client = _read(ApiReader(store.client), store.uri, "ways", [])
    assert len(tables.cells) == 4
    assert deleted not in {run.run_id for run in tables.cells}
    same(tables, client)
    assert tidy(tables).cells.equals(tidy(client).cells)


def test_nan_is_nan_whichever_way_it_is_read(store: Any, make_cell: Any) -> None:
    store.write("nan", [make_cell("scratch", None, "de", 8_000, loss=float("nan"))])
    for read in (
        read_sweep(store.uri, "nan"),
        _read(ApiReader(store.client), store.uri, "nan", []),
    ):
        loss = read.cells[0].metrics[schema.METRIC_TEST_LOSS]
        assert loss != loss


def test_what_happens_in_the_store_is_seen_at_once(store: Any, make_cell: Any) -> None:
    cell = make_cell("scratch", None, "de", 8_000, loss=2.0)
    store.write("live", [cell])
    (before,) = read_sweep(store.uri, "live").cells
    store.client.log_metric(before.run_id, schema.METRIC_TEST_LOSS, 1.5)
    (after,) = read_sweep(store.uri, "live").cells
    assert after.metrics[schema.METRIC_TEST_LOSS] == 1.5
    store.client.delete_run(before.run_id)
    assert read_sweep(store.uri, "live").cells == []


def test_a_sweep_in_the_bin_is_said_to_be_there(store: Any, make_cell: Any) -> None:
    store.write("binned", [make_cell("scratch", None, "de", 8_000)])
    store.client.delete_experiment(store.experiment("binned"))
    with pytest.raises(InputError, match="bin of"):
        read_sweep(store.uri, "binned")


def test_tables_that_are_not_as_known_are_read_through_the_client(
    store: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("unknown", [make_cell("scratch", None, "de", 8_000)])
    query = "SELECT r.uuid_of_tomorrow FROM runs r WHERE {1} = {1}{0}"
    monkeypatch.setattr("analysis.store.sql._RUNS", query)
    read = read_sweep(store.uri, "unknown")
    assert len(read.cells) == 1
    assert "uuid_of_tomorrow" in read.notes[0]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (Path("/proc/x/report"), tmp_path / "file" / "report"):
        with pytest.raises(InputError, match="report folder"):
            require_ours(folder)
    require_ours(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
