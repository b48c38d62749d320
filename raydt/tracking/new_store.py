"""Making a SQLite store: beside its place, which it takes when it is whole.

MLflow makes its tables one by one, in a second or two, and does not open a store that was cut off
in the middle. So a kill must never leave one where it is looked for.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from raydt.storage.disks import is_on_network
from raydt.tracking.uri import client_uri, sqlite_uri

_COMPANIONS = ("", "-wal", "-shm", "-journal")  # of a SQLite file, by what is added to its name


def is_absent(path: Path) -> bool:
    """Whether there is no store: no file, or an empty one, as SQLite makes of a path it opens."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def make_store(path: Path) -> None:
    """A store of MLflow at `path`, whole or not at all; the caller holds a lock that keeps others
    from the same. A store that somebody else has put there meanwhile stays."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    making = path.with_name(f".{path.name}.making")
    _remove(making)  # of a process that was killed
    try:
        artifacts = (path.parent / "mlflow-artifacts").as_uri()
        SqlAlchemyStore(client_uri(sqlite_uri(making)), artifacts).engine.dispose()
        with closing(sqlite3.connect(making)) as connection:
            connection.execute(f"PRAGMA journal_mode={journal_mode(path)}")
            # All of it in the one file that is renamed.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with making.open("rb+") as file:
            os.fsync(file.fileno())
        if is_absent(path):
            _remove(path)
            making.replace(path)
    finally:
        _remove(making)


def journal_mode(path: Path) -> str:
    """Of SQLite, for a store at `path`.

    With WAL readers (the UI) and the writer do not wait for each other, and a write takes half the
    time. But WAL is shared memory of one machine: on a network file system, where a login node
    reads what a driver elsewhere writes, the one would not see what the other did, or spoil it
    (sqlite.org/wal.html). There they wait for each other, by locks on the file.
    """
    return "DELETE" if is_on_network(path) else "WAL"


def _remove(path: Path) -> None:
    for file in _files_of(path):
        file.unlink(missing_ok=True)


def _files_of(path: Path) -> Iterator[Path]:
    for suffix in _COMPANIONS:
        yield path.with_name(path.name + suffix)
