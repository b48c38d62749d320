"""Open the MLflow store, or report within seconds why that is not possible."""

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
    """The problems of a store's URI, without importing MLflow: its form, a folder that is not
    writable, a server that does not answer."""
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
    except ValueError as error:  # a port that is not a number, an unclosed bracket
        return [Problem("tracking_uri", f"{requirement} ({error})", repr(shown))]
    if is_postgres(uri) and not parts.hostname and parts.query:
        return []  # a local socket, which fails at once when it is opened
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        return [Problem("tracking_uri", requirement, repr(shown))]
    try:
        socket.create_connection(address, timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        # The URI may contain a password; the address does not.
        found = f"{address[0]}:{address[1]}: {error.strerror or error}"
        return [Problem("tracking_uri", "a server that answers", found)]
    return _check_is_mlflow(uri) if scheme in ("http", "https") else []


def _check_is_mlflow(uri: str) -> list[Problem]:
    found = found_instead(uri, _ANSWER_SECONDS)
    return [Problem("tracking_uri", "an MLflow server", found)] if found else []


def check_writable(what: str, folder: Path) -> list[Problem]:
    """Check that files can be created in `folder`, or in its nearest existing parent."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return [Problem(what, "a folder", f"{existing} is a file")]
    # os.access is not reliable for root on a read-only file system; only writing is.
    probe = existing / f".raydt-probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [Problem(what, "a writable folder", f"{existing}: {error.strerror}")]
    return []


def open_store(uri: str) -> Any:
    """An `MlflowClient` for the store. A missing SQLite store is created.

    Two processes that create a SQLite store at the same time would both fail, so one waits.
    """
    problems = check_store_uri(uri)
    if problems:
        raise InputError(problems)
    path = sqlite_path(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    # MLflow reads these on import.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # By default a call to a server that is down takes four minutes to fail; later writes catch up.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # MLflow logs database errors (such as a full disk) with a traceback, and also raises them.
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
    """Set the `journal_mode` of a store that others created. If that fails (no shared memory, a
    read-only store), it keeps its own."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
        connection.execute(f"PRAGMA journal_mode={journal_mode(path)}")
