"""The address of a store: its URI is checked before anything slow is started."""

from __future__ import annotations

import http.client
import socket
import sqlite3
import urllib.error
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from analysis.store.sql import is_held, read_only
from raydt.errors import bad
from raydt.tracking.server import ask
from raydt.tracking.uri import postgres_refusal, sqlite_path, without_password, without_user

ANSWER_WITHIN_SECONDS = 5.0
_WHOLE = (
    "a whole MLflow store in SQLite (move the file away, and `raydt sync` writes the cells of a "
    "sweep into a new one)"
)
_THERE = (
    "an existing SQLite file (--store names another store; `raydt sync --to` writes a new one from "
    "a sweep's storage)"
)
_TABLES = {"experiments", "runs", "params", "tags", "metrics", "latest_metrics"}
_WANTED = "sqlite:////absolute/path, http(s)://host:port or postgresql://host/name"


def check_address(store_uri: str) -> str:
    """The kind of an existing store: "sqlite", "postgresql" or "server".

    `InputError` if the URI is of no known kind, the SQLite file does not exist or is not an MLflow
    store, or the server does not answer within five seconds.
    """
    try:
        parts = urlsplit(without_user(store_uri))
        _ = parts.port  # raises where it is no port; every later use would
    except ValueError as error:
        raise bad("store", _WANTED, f"{without_password(store_uri)!r} ({error})") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite":
        _require_sqlite_store(sqlite_file(store_uri), store_uri)
        return "sqlite"
    if scheme in ("http", "https") and parts.hostname:
        _require_answer(store_uri)
        return "server"
    if scheme == "postgresql":
        _require_port(parts, store_uri)
        return "postgresql"
    raise bad("store", _WANTED, repr(without_password(store_uri)))


def sqlite_file(store_uri: str) -> Path:
    """The file of a sqlite: URI, whatever driver it names."""
    return sqlite_path("sqlite:" + store_uri.partition(":")[2]) or Path()


def _require_sqlite_store(path: Path, store_uri: str) -> None:
    if not path.is_absolute():
        raise bad("store", "sqlite:/// with an absolute path (four slashes)", repr(store_uri))
    # MLflow creates a store wherever it is pointed, so the file is checked first.
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file" if path.exists() else "none"
        if path.is_symlink() and not path.exists():
            found = f"a link to nothing, {path.readlink()},"
        raise bad("store", _THERE, f"{found} at {path}")
    try:
        with read_only(path) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        wanted = "a store that no other process holds" if is_held(error) else _WHOLE
        raise bad("store", wanted, f"{path}: {error}") from None
    except OSError as error:
        raise bad("store", "an MLflow store in SQLite", error) from None
    missing = sorted(_TABLES - tables)
    if len(missing) == len(_TABLES):
        raise bad("store", "an MLflow store in SQLite", f"{path} without MLflow's tables")
    if missing:
        raise bad("store", _WHOLE, f"{path} without {', '.join(missing)}")


def _require_answer(store_uri: str) -> None:
    try:
        ask(store_uri, "/health", ANSWER_WITHIN_SECONDS)
    except urllib.error.HTTPError:
        return  # it answers; MLflow checks the credentials
    except (OSError, http.client.HTTPException) as error:
        found = f"{without_password(store_uri)}: {error}"
        raise bad("store", "a tracking server that answers", found) from None


def _require_port(parts: SplitResult, store_uri: str) -> None:
    if parts.hostname is not None:  # else a local socket, which responds at once
        try:
            address = (parts.hostname, parts.port or 5432)
            socket.create_connection(address, timeout=ANSWER_WITHIN_SECONDS).close()
        except OSError as error:
            found = f"{without_password(store_uri)}: {error}"
            raise bad("store", "a PostgreSQL server that answers", found) from None
    refusal = postgres_refusal(store_uri)
    if refusal is not None:
        raise bad("store", *refusal)
