"""Opening the MLflow store: it answers, or the user is told why not, in seconds."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raydt.errors import InputError, Problem, bad
from raydt.locks import locked
from raydt.tracking.new_store import is_absent, journal_mode, make_store
from raydt.tracking.schema_version import other_version
from raydt.tracking.server import found_instead
from raydt.tracking.sqlite_file import WHOLE, check_sqlite
from raydt.tracking.uri import (
    client_uri,
    is_postgres,
    postgres_refusal,
    sqlite_path,
    without_password,
    without_user,
)

_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_ANSWER_SECONDS = 5.0


def check_store_uri(uri: str) -> list[Problem]:
    """What is wrong with a store's URI, found without MLflow: its form, an unwritable folder, a
    server that does not answer."""
    path = sqlite_path(uri)
    if path is not None:
        if not path.is_absolute():
            return [
                Problem("tracking_uri", "an absolute path, sqlite:////folder/mlflow.db", repr(uri))
            ]
        return check_writable("tracking_uri", path.parent) or check_sqlite(path)
    shown = without_password(uri)
    requirement = "sqlite:////path/mlflow.db, http(s)://host:port or postgresql://..."
    try:
        parts = urlsplit(without_user(uri))
        scheme = parts.scheme.partition("+")[0]
        address = (parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme))
    except ValueError as error:  # a port that is no number, a bracket that is not closed
        return [Problem("tracking_uri", f"{requirement} ({error})", repr(shown))]
    if is_postgres(uri) and not parts.hostname and parts.query:
        return []  # a local socket: opening it answers at once
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        return [Problem("tracking_uri", requirement, repr(shown))]
    try:
        socket.create_connection(address, timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        # The URI may hold a password; the address does not.
        found = f"{address[0]}:{address[1]}: {error.strerror or error}"
        return [Problem("tracking_uri", "a server that answers", found)]
    return _check_is_mlflow(uri) if scheme in ("http", "https") else []


def _check_is_mlflow(uri: str) -> list[Problem]:
    found = found_instead(uri, _ANSWER_SECONDS)
    return [Problem("tracking_uri", "an MLflow server", found)] if found else []


def check_writable(what: str, folder: Path) -> list[Problem]:
    """Whether files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return [Problem(what, "a folder", f"{existing} is a file")]
    # os.access says yes to root on a read-only file system as well as no; only writing tells.
    probe = existing / f".raydt-probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [Problem(what, "a folder that can be written to", f"{existing}: {error.strerror}")]
    return []


def open_store(uri: str) -> Any:
    """An `MlflowClient` of the store, which is created where it is SQLite and not there yet.

    Two processes that create a SQLite store at once would both fail: they wait for each other.
    """
    problems = check_store_uri(uri)
    if problems:
        raise InputError(problems)
    path = sqlite_path(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Set before MLflow is imported, which reads them.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # By default a call to a server that is down takes four minutes to fail; the journals can wait.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # MLflow logs a database's error with its traceback (a full disk, say) and raises it as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    refusal = postgres_refusal(uri)
    if refusal is not None:
        raise bad("tracking_uri", *refusal)
    try:
        with nullcontext() if path is None else locked(path.with_name(f"{path.name}-lock")):
            if path is not None and is_absent(path):
                make_store(path)
            other = other_version(uri)
            if other is not None:
                raise bad("tracking_uri", *other)
            if path is not None:
                _set_mode(path)
            client = MlflowClient(tracking_uri=client_uri(uri))
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError) as error:
        wanted = "a store that answers"
        if path is not None:
            wanted = WHOLE
        found = f"{without_password(uri)}: {str(error).splitlines()[0]}"
        raise bad("tracking_uri", wanted, found) from None
    return client


def _set_mode(path: Path) -> None:
    """A store that others made may be in another mode: see `journal_mode`. Where that cannot be (no
    shared memory, a store that may only be read) it stays in its own."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
        connection.execute(f"PRAGMA journal_mode={journal_mode(path)}")
