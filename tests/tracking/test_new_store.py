"""A SQLite store is there whole or not at all, whenever its maker is killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raydt.errors import InputError
from raydt.tracking.store import open_store

PROGRAM = Path(__file__).parent / "make_store.py"


def begun(path: Path) -> subprocess.Popen[str]:
    """A process that has begun to make the store."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), f"sqlite:///{path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    return process


@pytest.mark.timeout(300)
def test_a_kill_while_a_store_is_made_leaves_none(tmp_path: Path) -> None:
    """Killed early and late; what is there afterwards opens."""
    num_killed = 0
    for num_tables in (3, 25):
        path = tmp_path / str(num_tables) / "mlflow.db"
        process = begun(path)
        made = path.with_name(f".{path.name}.making")
        while process.poll() is None and tables(made) < num_tables:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert "Traceback" not in err
        num_killed += "made" not in out
        assert not path.exists() or "made" in out, "half a store is where it is looked for"
        client = open_store(f"sqlite:///{path}")
        assert client.get_experiment_by_name("Default") is not None
        assert {file.name for file in path.parent.iterdir()} <= {
            "mlflow.db",
            "mlflow.db-wal",
            "mlflow.db-shm",
            "mlflow.db-lock",
        }, "something was left behind"
    assert num_killed, "no kill fell into the making"


def tables(path: Path) -> int:
    """How many tables the file has by now."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            found: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return found
    except sqlite3.Error:
        return 0


def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    assert open_store(f"sqlite:///{path}").get_experiment_by_name("Default") is not None


def test_half_a_store_of_an_earlier_version_is_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    before = path.stat().st_size
    with pytest.raises(InputError, match="move the file away") as caught:
        open_store(f"sqlite:///{path}")
    assert str(path) in str(caught.value)
    assert path.stat().st_size >= before
