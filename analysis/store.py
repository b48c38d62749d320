"""Reading a sweep out of the MLflow tracking store, and only reading: nothing is created."""

from __future__ import annotations

import gc
import json
import os
import socket
import sqlite3
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raydt.errors import InputError, bad
from raydt.tracking import schema
from raydt.tracking.uri import (
    client_uri,
    postgres_refusal,
    sqlite_path,
    without_password,
    without_user,
)

# Artifacts are a handful of small files; MLflow's progress bars would bury the report.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

ANSWER_WITHIN_SECONDS = 5.0
PAGE_RUNS = 1000


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep as they stand in the store."""

    store_uri: str  # for people: without password
    sweep: str
    experiment_id: str
    launches: list[Run]  # newest first; may be empty
    cells: list[Run]
    plan: list[dict[str, Any]] | None  # rows of `schema.PLAN_FIELDS`; None where there is none
    notes: list[str] = field(default_factory=list)  # what a reader must know about the reading


def open_store(store_uri: str) -> MlflowClient:
    """A client of an existing store.

    `InputError` if the URI is of no known kind, the SQLite file does not exist or is not an MLflow
    store, or the server does not answer within five seconds.
    """
    scheme = store_uri.partition("://")[0].partition("+")[0]
    if scheme == "sqlite":
        _require_sqlite_store(store_uri)
    elif scheme in ("http", "https"):
        _require_answer(store_uri)
    elif scheme == "postgresql":
        _require_port(store_uri)
    else:
        wanted = "sqlite:////absolute/path, http(s)://host:port or postgresql://host/name"
        raise bad("store", wanted, repr(without_password(store_uri)))
    # A server that has answered once and then falls silent should not be waited for all day.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    with _store_errors(store_uri):
        client = MlflowClient(tracking_uri=client_uri(store_uri))
        client.search_experiments(max_results=1)
    return client


def read_sweep(store_uri: str, sweep: str | None = None) -> SweepRuns:
    """All runs of a sweep; of the most recently launched one if none is named.

    `InputError` as `open_store`, and if the sweep (or any sweep) is not in the store.
    """
    client = open_store(store_uri)
    shown = without_password(store_uri)
    with _store_errors(store_uri):
        names = {str(e.experiment_id): str(e.name) for e in _experiments(client)}
        of_kind = f"tags.`{schema.TAG_KIND}` = '{{}}'"
        launches = _runs(client, list(names), of_kind.format(schema.KIND_LAUNCH))
        launches.sort(key=lambda run: int(run.info.start_time or 0), reverse=True)
        launched = list(dict.fromkeys(names[str(run.info.experiment_id)] for run in launches))
        if not launched:
            raise bad("store", f"at least one raydt sweep in {shown}", "none")
        if sweep is not None and sweep not in launched:
            raise bad("sweep", "one of " + ", ".join(sorted(launched)), repr(sweep))
        notes = []
        if sweep is None and len(launched) > 1:
            notes.append(
                f"The store holds {len(launched)} sweeps and none was named: this is the most "
                f"recently launched one, {launched[0]}. Others: {', '.join(launched[1:])}."
            )
        chosen = sweep if sweep is not None else launched[0]
        experiment_id = next(key for key, name in names.items() if name == chosen)
        mine = [run for run in launches if str(run.info.experiment_id) == experiment_id]
        cells = _runs(client, [experiment_id], of_kind.format(schema.KIND_CELL))
        plan = _plan(client, store_uri, mine[0], notes)
    return SweepRuns(shown, chosen, experiment_id, mine, cells, plan, notes)


def log_report(store_uri: str, run_id: str, folder: Path) -> None:
    """Put a folder under the launch as artifact `schema.ARTIFACT_REPORT`.

    Raises `MlflowException` or `OSError` where the artifact store cannot be written.
    """
    client = MlflowClient(tracking_uri=client_uri(store_uri))
    client.log_artifacts(run_id, str(folder), artifact_path=schema.ARTIFACT_REPORT)


def _experiments(client: MlflowClient) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_experiments(max_results=PAGE_RUNS, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _runs(client: MlflowClient, experiment_ids: list[str], where: str) -> list[Run]:
    found: list[Run] = []
    token = None
    # MLflow builds some hundred thousand small objects here, and the collector walking them again
    # and again doubles the time (14 s against 21-31 s for 10,000 runs).
    collecting = gc.isenabled()
    gc.disable()
    try:
        while True:
            page = client.search_runs(
                experiment_ids, filter_string=where, max_results=PAGE_RUNS, page_token=token
            )
            found.extend(page)
            token = page.token
            if not token:
                return found
    finally:
        if collecting:
            gc.enable()


def _plan(
    client: MlflowClient, store_uri: str, launch: Run, notes: list[str]
) -> list[dict[str, Any]] | None:
    run_id = str(launch.info.run_id)
    try:
        listed = {str(entry.path) for entry in client.list_artifacts(run_id)}
        if schema.ARTIFACT_PLAN not in listed:
            notes.append(
                f"The newest launch has no {schema.ARTIFACT_PLAN}: the sweep's cells are inferred "
                "as the full cross product of what was observed."
            )
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts(
                run_id=run_id,
                artifact_path=schema.ARTIFACT_PLAN,
                dst_path=folder,
                tracking_uri=client_uri(store_uri),
            )
            plan = json.loads(Path(path).read_text(encoding="utf-8"))
    except (MlflowException, OSError, ValueError) as error:
        notes.append(
            f"{schema.ARTIFACT_PLAN} of the newest launch cannot be read "
            f"({_first_line(error)}): the sweep's cells are inferred as the full cross product "
            "of what was observed."
        )
        return None
    if not isinstance(plan, list) or any(
        not isinstance(row, dict) or not set(schema.PLAN_FIELDS) <= set(row) for row in plan
    ):
        raise bad(
            schema.ARTIFACT_PLAN, "a list of cells with " + ", ".join(schema.PLAN_FIELDS), "others"
        )
    return plan


def _require_sqlite_store(store_uri: str) -> None:
    path = sqlite_path(store_uri)
    if path is None or not path.is_absolute():
        raise bad("store", "sqlite:/// with an absolute path (four slashes)", repr(store_uri))
    # MLflow creates a store wherever it is pointed, so the file is looked at first.
    if not path.is_file():
        raise bad("store", "an existing SQLite file", f"none at {path}")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise bad("store", "an MLflow store in SQLite", f"{path}: {error}") from None
    if not {"experiments", "runs"} <= tables:
        raise bad("store", "an MLflow store in SQLite", f"{path} without MLflow's tables")


def _require_answer(store_uri: str) -> None:
    address = without_user(store_uri).rstrip("/") + "/health"
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_WITHIN_SECONDS):
            pass
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is MLflow's to say
    except OSError as error:
        raise bad(
            "store", "a tracking server that answers", f"{without_password(store_uri)}: {error}"
        ) from None


def _require_port(store_uri: str) -> None:
    wanted, shown = "a PostgreSQL server that answers", without_password(store_uri)
    try:
        parts = urlsplit(without_user(store_uri))
        if parts.hostname is not None:  # else a local socket, which answers at once
            address = (parts.hostname, parts.port or 5432)
            socket.create_connection(address, timeout=ANSWER_WITHIN_SECONDS).close()
    except (OSError, ValueError) as error:
        raise bad("store", wanted, f"{shown}: {error}") from None
    refusal = postgres_refusal(store_uri)
    if refusal is not None:
        raise bad("store", *refusal)


@contextmanager
def _store_errors(store_uri: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (MlflowException, SQLAlchemyError, ModuleNotFoundError) as error:
        found = f"{without_password(store_uri)}: {_first_line(error)}"
        raise bad("store", "an MLflow store that can be read", found) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
