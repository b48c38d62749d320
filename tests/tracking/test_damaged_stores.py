"""Files in the place of a store that are none, or none any more: one message, and they stay as they
are."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import alembic.command
import pytest
from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine

from analysis.store.sql import read_only
from raydt.cli import main
from tests.tracking.conftest import LOSSES


def sql(store: Path, *queries: str) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        for query in queries:
            connection.execute(query)


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        store.unlink()
        make(store)

    return change


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    # what is done to the file, and what a writer and `analyze` say of it
    "half": (lambda f: os.truncate(f, f.stat().st_size // 2), "malformed", "malformed"),
    "a few bytes": (lambda f: os.truncate(f, 16), "not a database", "not a database"),
    "text": (lambda f: f.write_text("hello"), "not a database", "not a database"),
    "gzip": (lambda f: f.write_bytes(gzip.compress(f.read_bytes())), "not a data", "not a data"),
    "folder": (instead(Path.mkdir), "a SQLite file, got a folder", "got a folder at"),
    "pipe": (instead(os.mkfifo), "a SQLite file", "got no file at"),
    "link": (instead(lambda f: f.symlink_to("/no/disk.db")), "-> /no/disk.db", "a link to nothing"),
    "loop": (instead(lambda f: f.symlink_to(f)), "a link to a store", "a link to nothing"),
    "another": (instead(lambda f: sql(f, "CREATE TABLE a (b)")), "other tables: a", "without MLfl"),
    "no runs": (lambda f: sql(f, "DROP TABLE runs"), "without runs", "without runs"),
    "no tags": (lambda f: sql(f, "DROP TABLE tags"), "without tags", "without tags"),
    "no version": (lambda f: sql(f, "DROP TABLE alembic_version"), "without alembic_version", ""),
    "0 versions": (lambda f: sql(f, "DELETE FROM alembic_version"), "with 0 in its table", ""),
    "2 versions": (lambda f: sql(f, "INSERT INTO alembic_version VALUES (1)"), "with 2 in", ""),
    "text for a loss": (
        lambda f: sql(f, "UPDATE latest_metrics SET value = 'x'"),
        "",
        "nothing to analyse",
    ),
    "other params": (
        lambda f: sql(f, "UPDATE params SET value = 'x' WHERE key = 'seed'"),
        "",
        "seed that can be read, got 'x'",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_store(
    kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, by_writer, by_reader = DAMAGE[kind]
    storage = tmp_path / "runs"
    shutil.copytree(made, storage)
    store = storage / "mlflow.db"
    change(store)
    before = store.read_bytes() if store.is_file() else b""
    table = tmp_path / "losses.csv"
    table.write_text(LOSSES)
    capsys.readouterr()
    for said, words in (
        (by_reader, ["analyze", "--out", str(tmp_path / "out")]),
        (by_writer, ["import", str(table), "--name", "again"]),
    ):
        code = main([*words, "--storage", str(storage)])
        shown = capsys.readouterr().err
        assert code == (0 if not said else 1 if "nothing to analyse" in shown else 2), shown
        if said:
            assert said in shown
            assert len(shown.strip().splitlines()) == 1
            assert "Error" not in shown
            assert not before or store.read_bytes() == before


def test_a_store_of_an_mlflow_of_years_ago_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It lacks tables, and then MLflow's client brings it up without being asked.
    store = tmp_path / "mlflow.db"
    engine = create_engine(f"sqlite:///{store}")
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    alembic.command.upgrade(_get_alembic_config(f"sqlite:///{store}"), "97727af70f4d")
    with closing(sqlite3.connect(store)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert not set(Base.metadata.tables) <= tables
    before = store.read_bytes()
    table = tmp_path / "losses.csv"
    table.write_text(LOSSES)
    capsys.readouterr()
    assert main(["import", str(table), "--storage", str(tmp_path)]) == 2
    assert "mlflow db upgrade" in capsys.readouterr().err
    assert main(["analyze", "--storage", str(tmp_path)]) == 2
    assert "at least one raydt sweep" in capsys.readouterr().err
    assert store.read_bytes() == before


def test_a_store_that_another_process_holds_is_not_read_half_written(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = tmp_path / "runs"
    shutil.copytree(made, storage)
    program = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA journal_mode=DELETE'); c.execute('BEGIN EXCLUSIVE'); "
        "print('held', flush=True); time.sleep(600)"
    )
    words = [sys.executable, "-c", program, str(storage / "mlflow.db")]
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **{"timeout": 0.2, **k}))
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            (tmp_path / "losses.csv").write_text(LOSSES)
            for command in (["analyze"], ["import", str(tmp_path / "losses.csv")]):
                assert main([*command, "--storage", str(storage)]) == 2
                shown = capsys.readouterr().err
                assert "a store that no other process holds" in shown
                assert "locked" in shown
        finally:
            holder.kill()


def test_a_store_whose_writer_was_killed_while_it_wrote_is_read_as_it_was(tmp_path: Path) -> None:
    """As on a network file system, where stores have a journal and no WAL."""
    store = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE metrics (value, note)")
        rows = [(0, "x" * 500)] * 2000
        connection.executemany("INSERT INTO metrics VALUES (?, ?)", rows)
        connection.commit()
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA cache_size=5'); c.execute('BEGIN IMMEDIATE'); "
        "c.execute(\"UPDATE metrics SET value = 1, note = note || 'y'\"); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=False)
    left = store.read_bytes()
    assert store.with_name("mlflow.db-journal").stat().st_size
    asked = "SELECT count(*), sum(value) FROM metrics"
    with read_only(store) as connection:
        assert connection.execute(asked).fetchone() == (2000, 0)
    assert store.read_bytes() == left, "whoever writes next rolls it back, and not a reader"
    store.with_name("mlflow.db-journal").unlink()
    with pytest.raises((sqlite3.DatabaseError, AssertionError)), read_only(store) as connection:
        assert connection.execute(asked).fetchone() == (2000, 0), "half of it was written"
