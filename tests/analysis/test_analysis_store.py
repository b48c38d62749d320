"""Opening a store and reading a sweep: clear errors, and nothing created."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from analysis.store import open_store, read_sweep
from raydt.errors import InputError


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


@pytest.mark.parametrize("uri", ["runs", "sqlite:///relative.db", "ftp://host/x", ""])
def test_other_uris_are_refused_with_those_that_are_known(uri: str) -> None:
    with pytest.raises(InputError, match="store"):
        open_store(uri)


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
    assert (read.sweep, read.launches[0].info.run_id) == ("latest", launch)
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
    assert read.launches[0].info.run_id == newest
    assert len(read.cells) == 2
    assert read.plan is not None
    assert [row["size_bytes"] for row in read.plan] == [8_000, 32_000]
