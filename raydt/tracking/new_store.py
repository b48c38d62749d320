"""Create a SQLite store under a temporary name, and move it into place when it is complete.

MLflow creates its tables one by one, which takes a second or two, and cannot open an incomplete
store. So a kill must never leave one at the final path.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from raydt.storage.disks import is_on_network
from raydt.tracking.uri import client_uri, sqlite_uri

_COMPANIONS = ("", "-wal", "-shm", "-journal")  # suffixes of the files of a SQLite database


def is_absent(path: Path) -> bool:
    """Whether there is no store: no file, or an empty one, as SQLite creates on opening a path."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def make_store(path: Path) -> None:
    """Create a store of MLflow at `path` atomically. The caller must hold a lock against others who
    do the same. A store that appeared meanwhile is kept."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    making = path.with_name(f".{path.name}.making")
    _remove(making)  # left by a killed process
    try:
        artifacts = (path.parent / "mlflow-artifacts").as_uri()
        SqlAlchemyStore(client_uri(sqlite_uri(making)), artifacts).engine.dispose()
        with closing(sqlite3.connect(making)) as connection:
            connection.execute(f"PRAGMA journal_mode={journal_mode(path)}")
            # Move everything into the single file that is renamed.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with making.open("rb+") as file:
            os.fsync(file.fileno())
        if is_absent(path):
            _remove(path)
            making.replace(path)
    finally:
        _remove(making)


def journal_mode(path: Path) -> str:
    """SQLite's journal mode for a store at `path`.

    With WAL, readers (the UI) and the writer do not wait for each other, and a write takes half the
    time. But WAL needs shared memory of one machine: on a network file system, where a login node
    reads what a driver elsewhere writes, they would not see each other's changes, or corrupt the
    file (sqlite.org/wal.html). There they wait for each other with file locks.
    """
    return "DELETE" if is_on_network(path) else "WAL"


def _remove(path: Path) -> None:
    for file in _files_of(path):
        file.unlink(missing_ok=True)


def _files_of(path: Path) -> Iterator[Path]:
    for suffix in _COMPANIONS:
        yield path.with_name(path.name + suffix)
