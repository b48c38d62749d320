"""Runs read directly from the tables of MLflow's SQL stores, SQLite or PostgreSQL.

Through MLflow's own client 10,000 runs take 14 to 31 s, nearly all of it for building objects; the
four tables behind them are read in about one second. So the store is read every time, and there is
no cache that could be stale. Table and column names are those of MLflow's schema since 2.x; a store
that lacks one is read through MLflow's client (`analysis.store.api`).

Everything is read in one transaction, which gives a consistent snapshot of a running sweep.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analysis.store.run import WANTED_METRICS, WANTED_PARAMS, WANTED_TAGS, StoredRun
from raydt.errors import bad
from raydt.tracking import schema
from raydt.tracking.uri import client_uri, without_password

_FETCH_ROWS = 5000
# MLflow 3.11 and later keep experiments of several workspaces in one store; its client, like this
# code, sees the default one.
_DEFAULT_WORKSPACE = "default"


class TablesUnreadableError(Exception):
    """The tables could not be read as MLflow's; the message is that of the driver."""


class SqlReader:
    """Reads over a DB-API connection; `mark` is its placeholder for a value."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self._mark = mark

    def experiments(self) -> dict[str, str]:
        """Names by id of the experiments that are not deleted."""
        return {key: name for key, name, stage in self._experiments() if stage == "active"}

    def deleted_experiments(self) -> set[str]:
        """Names of the experiments in the store's bin."""
        return {name for _, name, stage in self._experiments() if stage != "active"}

    def launches(self) -> list[StoredRun]:
        """Runs of kind launch, of experiments and runs that are not deleted."""
        active = self.experiments()
        query = _RUNS.format("", self._mark)
        rows = self._rows(query, (schema.TAG_KIND, schema.KIND_LAUNCH))
        return [run for run in map(_run, rows) if run.experiment_id in active]

    def cells(self, experiment_id: str) -> Iterator[StoredRun]:
        """Runs of kind cell of an experiment, those that are deleted left out."""
        within = f" AND r.experiment_id = {int(experiment_id)}"
        key = (schema.TAG_KIND, schema.KIND_CELL)
        runs = {run.run_id: run for run in map(_run, self._rows(self._runs(within), key))}
        for table, wanted in (("params", WANTED_PARAMS), ("tags", WANTED_TAGS)):
            for run_id, name, value in self._values(table, "x.value", wanted, within):
                if run_id in runs and value is not None:
                    facts = runs[run_id].params if table == "params" else runs[run_id].tags
                    # A few hundred different texts occur hundreds of thousands of times.
                    facts[sys.intern(name)] = sys.intern(value)
        number = "CASE WHEN x.is_nan THEN NULL ELSE x.value END"
        for run_id, name, value in self._values("latest_metrics", number, WANTED_METRICS, within):
            if run_id in runs:
                runs[run_id].metrics[sys.intern(name)] = _float(value)
        yield from runs.values()

    def curves(
        self,
        experiment_id: str,
        run_ids: Collection[str],
    ) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        """Every evaluation of `val`, (bytes seen, nats per byte), by run."""
        query = (
            "SELECT m.run_uuid, m.step, m.value FROM metrics m "
            "JOIN runs r ON r.run_uuid = m.run_uuid "
            "WHERE r.lifecycle_stage = 'active' "
            f"AND r.experiment_id = {int(experiment_id)} AND m.key = {self._mark} "
            "ORDER BY m.run_uuid, m.step"
        )
        rows = self._rows(query, (schema.METRIC_VAL_LOSS,))
        for run_id, points in groupby(rows, key=itemgetter(0)):
            yield str(run_id), [(float(step), float(loss)) for _, step, loss in points]

    def _experiments(self) -> list[tuple[str, str, str]]:
        cursor = self._connection.cursor()
        try:
            cursor.execute("SELECT * FROM experiments")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()
        return [
            (str(row["experiment_id"]), str(row["name"]), str(row["lifecycle_stage"]))
            for row in rows
            if row.get("workspace", _DEFAULT_WORKSPACE) == _DEFAULT_WORKSPACE
        ]

    def _runs(self, within: str) -> str:
        return _RUNS.format(within, self._mark)

    def _values(
        self, table: str, value: str, wanted: tuple[str, ...], within: str
    ) -> Iterator[tuple[Any, ...]]:
        marks = ", ".join([self._mark] * len(wanted))
        query = (
            f"SELECT x.run_uuid, x.key, {value} FROM {table} x "
            f"JOIN runs r ON r.run_uuid = x.run_uuid "
            f"WHERE r.lifecycle_stage = 'active'{within} AND x.key IN ({marks})"
        )
        return self._rows(query, wanted)

    def _rows(self, query: str, values: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            cursor.execute(query, values)
            while rows := cursor.fetchmany(_FETCH_ROWS):
                yield from rows
        finally:
            cursor.close()


_RUNS = (
    "SELECT r.run_uuid, r.experiment_id, r.start_time, r.end_time, r.artifact_uri FROM runs r "
    "JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = {1} AND k.value = {1} "
    "WHERE r.lifecycle_stage = 'active'{0} ORDER BY r.start_time, r.run_uuid"
)


def _float(value: object) -> float:
    """NaN if it is not a number: SQLite stores any value, whatever the column's type."""
    return float(value) if isinstance(value, int | float) else float("nan")


def _run(row: tuple[Any, ...]) -> StoredRun:
    run_id, experiment_id, started, ended, artifact_uri = row
    return StoredRun(str(run_id), str(experiment_id), started, ended, str(artifact_uri))


@contextmanager
def sqlite_reader(path: Path) -> Iterator[SqlReader]:
    """A reader of a SQLite file, which is opened for reading only."""
    try:
        with read_only(path) as connection:
            connection.execute("BEGIN")
            yield SqlReader(connection, "?")
    except sqlite3.Error as error:
        raise TablesUnreadableError(str(error)) from error


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file for reading, even in a folder that is not writable; raises `sqlite3.Error`.

    A store in WAL mode needs a shared memory file beside it, even for reading; one whose writer was
    killed while writing must be rolled back first. If that is not possible, it is read as it is, or
    as a copy with what the writer left in its WAL or journal.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(_connect(path, "mode=ro")))
        try:
            connection.execute("SELECT name FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if is_held(error):
                raise
            beside = [path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal")]
            left = [file for file in beside if file.exists() and file.stat().st_size]
            if left:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="raydt-store-")))
                for file in (path, *left):
                    shutil.copyfile(file, folder / file.name)
                connection = stack.enter_context(closing(_connect(folder / path.name, "mode=rw")))
            else:
                connection = stack.enter_context(closing(_connect(path, "mode=ro&immutable=1")))
        yield connection


def is_held(error: sqlite3.Error) -> bool:
    """Whether another process holds the file, whose content is then inconsistent."""
    # The last byte of an extended code is the basic code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _connect(path: Path, options: str) -> sqlite3.Connection:
    # Without an isolation level Python does not start a transaction itself.
    return sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, isolation_level=None)


@contextmanager
def postgresql_reader(store_uri: str) -> Iterator[SqlReader]:
    """A reader of a PostgreSQL store, with the driver that its URI names or MLflow would use.

    `InputError` if the server refuses the connection.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(client_uri(store_uri), poolclass=NullPool)
    mark = {"qmark": "?", "format": "%s", "pyformat": "%s"}[engine.dialect.paramstyle]
    driver = engine.dialect.loaded_dbapi
    try:
        connection = engine.raw_connection()
    except driver.Error as error:
        # pg8000 gives the server's fields as a dictionary, with the message as M.
        said = error.args[0]["M"] if error.args and isinstance(error.args[0], dict) else error
        found = f"{without_password(store_uri)}: {said}"
        raise bad("store", "a PostgreSQL store that can be read", found) from error
    try:
        cursor = connection.cursor()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.close()
        yield SqlReader(connection, mark)
    except driver.Error as error:
        raise TablesUnreadableError(str(error)) from error
    finally:
        connection.rollback()
        connection.close()
