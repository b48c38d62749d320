from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from raydt.errors import InputError
from raydt.storage import disks
from raydt.tracking.store import check_store_uri, check_writable, open_store


def test_a_new_store_is_made_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    client = open_store(f"sqlite:///{path}")
    assert client.get_experiment_by_name("absent") is None
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_on_a_network_file_system_machines_share_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a login node and the first node of a job do: SQLite's WAL is of one machine."""
    shared = tmp_path / "shared"
    made_here, copied, made_there = tmp_path / "a.db", shared / "b.db", shared / "c.db"
    open_store(f"sqlite:///{made_here}")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nfs@tcp:/work {shared} lustre rw,flock 0 0\n")
    monkeypatch.setattr(disks, "_MOUNTS", mounts)
    shared.mkdir()
    shutil.copy(made_here, copied)
    for path in (copied, made_there):
        open_store(f"sqlite:///{path}").create_experiment("shared")
        assert not path.with_name(f"{path.name}-shm").exists()
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database, but somebody's\n" * 100)
    with pytest.raises(InputError, match="a complete store of MLflow"):
        open_store(f"sqlite:///{path}")
    assert path.read_text() == "not a database, but somebody's\n" * 100


@pytest.mark.parametrize(
    "uri", ["", "runs", "file:///tmp/x", "sqlite://relative.db", "http://", "ftp://host/x"]
)
def test_what_is_no_store(uri: str) -> None:
    (problem,) = check_store_uri(uri)
    assert problem.what == "tracking_uri"


def test_a_password_is_not_shown() -> None:
    (problem,) = check_store_uri("postgresql://user:secret@127.0.0.1:1/db")
    assert "secret" not in str(problem)
    assert "127.0.0.1:1" in str(problem)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    assert check_writable("storage", tmp_path / "a" / "b") == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    (problem,) = check_writable("storage", tmp_path / "file" / "below")
    assert "is a file" in str(problem)
    (problem,) = check_writable("storage", Path("/proc/raydt"))
    assert "/proc" in str(problem)
