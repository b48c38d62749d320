"""Reads a sweep from the MLflow tracking store; creates and changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from analysis.store.address import check_address, sqlite_file
from analysis.store.plan import PlannedCell
from analysis.store.run import RunReader, StoredRun
from analysis.store.sql import TablesUnreadableError, postgresql_reader, sqlite_reader
from raydt.errors import InputError, bad
from raydt.tracking import schema
from raydt.tracking.schema_version import other_version
from raydt.tracking.uri import client_uri, sqlite_path, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["SweepRuns", "mlflow_errors", "open_store", "read_sweep", "without_password"]

_ARTIFACTS = "mlflow-artifacts"  # where raydt has them, beside a SQLite store
_REQUIRED_PLAN_FIELDS = set(schema.PLAN_FIELDS) - set(schema.OPTIONAL_PLAN_FIELDS)


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep as they stand in the store."""

    store_uri: str  # for people: without password
    sweep: str
    experiment_id: str
    launches: list[StoredRun]  # newest first; at least one
    cells: list[StoredRun]
    plan: list[PlannedCell] | None  # None if there is none
    notes: list[str] = field(default_factory=list)  # what a reader must know about the reading


def open_store(store_uri: str) -> MlflowClient:
    """A client of an existing store.

    `InputError` if the URI is of no known kind, the SQLite file does not exist or is not an MLflow
    store, or the server does not answer within five seconds.
    """
    check_address(store_uri)
    return _client(store_uri)


def read_sweep(
    store_uri: str, sweep: str | None = None, *, every_launch: bool = False
) -> SweepRuns:
    """All runs of a sweep; of the most recently launched one if none is named.

    The plan is that of its newest launch, or with `every_launch` of all its launches together: a
    grid that was extended by another one.

    SQL stores are read from their tables, servers through MLflow. `InputError` as `open_store`,
    and if the sweep (or any sweep) is not in the store.
    """
    kind = check_address(store_uri)
    try:
        with ExitStack() as stack:
            reader = open_reader(stack, kind, store_uri)
            return _read(reader, store_uri, sweep, [], every_launch)
    except TablesUnreadableError as error:
        # Tables of an unknown MLflow version; its own client can read them or report why not.
        note = f"Read through MLflow's client, which is slower: {_first_line(error)}."
    return _read(_api_reader(store_uri), store_uri, sweep, [note], every_launch)


def open_reader(stack: ExitStack, kind: str, store_uri: str) -> RunReader:
    """A reader for a store of the kind that `check_address` returned, open as long as
    `stack` is."""
    return _api_reader(store_uri) if kind == "server" else _sql_reader(stack, kind, store_uri)


def _read(
    reader: RunReader,
    store_uri: str,
    sweep: str | None,
    notes: list[str],
    every_launch: bool = False,
) -> SweepRuns:
    shown = without_password(store_uri)
    with _store_errors(store_uri):
        names = reader.experiments()
        launches = reader.launches()
        launches.sort(key=lambda run: run.start_time_ms or 0, reverse=True)
        launched = list(dict.fromkeys(names[run.experiment_id] for run in launches))
        if sweep is not None and sweep not in launched and sweep in reader.deleted_experiments():
            found = f"{sweep!r} in the bin of {shown} (`mlflow experiments restore` brings it back)"
            raise bad("sweep", "one that is not deleted", found)
        if not launched:
            raise bad("store", f"at least one raydt sweep in {shown}", "none")
        if sweep is not None and sweep not in launched:
            raise bad("sweep", "one of " + ", ".join(sorted(launched)), repr(sweep))
        if sweep is None and len(launched) > 1:
            notes.append(
                f"The store holds {len(launched)} sweeps and none was named: this is the most "
                f"recently launched one, {launched[0]}. Others: {', '.join(launched[1:])}."
            )
        chosen = sweep if sweep is not None else launched[0]
        experiment_id = next(key for key, name in names.items() if name == chosen)
        mine = [run for run in launches if run.experiment_id == experiment_id]
        cells = list(reader.cells(experiment_id))
    plans = [_plan(store_uri, run, notes) for run in (mine if every_launch else mine[:1])]
    plan = None
    if None not in plans:
        # The newest first: its word counts where two plans have a cell.
        plan = list({cell.cell_id: cell for each in plans[::-1] for cell in each or ()}.values())
    return SweepRuns(shown, chosen, experiment_id, mine, cells, plan, notes)


def _plan(store_uri: str, launch: StoredRun, notes: list[str]) -> list[PlannedCell] | None:
    inferred = "the sweep's cells are inferred as the full cross product of what was observed."
    try:
        text = _artifact_text(store_uri, launch, schema.ARTIFACT_PLAN)
        plan = None if text is None else json.loads(text)
    except Exception as error:
        if not isinstance(error, (*mlflow_errors(), OSError, ValueError)):
            raise
        notes.append(
            f"{schema.ARTIFACT_PLAN} of launch {launch.run_id} cannot be read "
            f"({_first_line(error)}): {inferred}"
        )
        return None
    if plan is None:
        notes.append(f"Launch {launch.run_id} has no {schema.ARTIFACT_PLAN}: {inferred}")
        return None
    if not isinstance(plan, list) or any(
        not isinstance(row, dict) or not set(row) >= _REQUIRED_PLAN_FIELDS for row in plan
    ):
        raise bad(
            schema.ARTIFACT_PLAN, "a list of cells with " + ", ".join(schema.PLAN_FIELDS), "others"
        )
    return [PlannedCell(**{name: row.get(name) for name in schema.PLAN_FIELDS}) for row in plan]


def _artifact_text(store_uri: str, launch: StoredRun, name: str) -> str | None:
    """The text of an artifact of a launch, None if it has no such artifact."""
    parts = urlsplit(launch.artifact_uri)
    if parts.scheme in ("", "file") and parts.netloc in ("", "localhost"):
        path = Path(unquote(parts.path) if parts.scheme else launch.artifact_uri) / name
        if not path.exists():
            path = _beside_the_store(path, store_uri)
        return path.read_text(encoding="utf-8") if path.exists() else None
    import tempfile

    import mlflow.artifacts

    client = _client(store_uri)
    if name not in {str(entry.path) for entry in client.list_artifacts(launch.run_id)}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=launch.run_id,
            artifact_path=name,
            dst_path=folder,
            tracking_uri=client_uri(store_uri),
        )
        return Path(path).read_text(encoding="utf-8")


def _beside_the_store(path: Path, store_uri: str) -> Path:
    """The location of an artifact if the folder of its SQLite store was moved or copied."""
    if sqlite_path(store_uri) is None or _ARTIFACTS not in path.parts:
        return path
    below = path.parts[len(path.parts) - path.parts[::-1].index(_ARTIFACTS) :]
    return Path(sqlite_file(store_uri).parent, _ARTIFACTS, *below)


def _sql_reader(stack: ExitStack, kind: str, store_uri: str) -> RunReader:
    if kind == "sqlite":
        return stack.enter_context(sqlite_reader(sqlite_file(store_uri)))
    # A missing driver or a wrong password is reported to the user, not retried.
    with _store_errors(store_uri):
        return stack.enter_context(postgresql_reader(store_uri))


def _api_reader(store_uri: str) -> RunReader:
    from analysis.store.api import ApiReader

    return ApiReader(_client(store_uri))


def _client(store_uri: str) -> MlflowClient:
    # MLflow takes two seconds to import, and a SQL store with local artifacts does not need it.
    from analysis.store.api import new_client

    with _store_errors(store_uri):
        other = other_version(store_uri)
        if other is not None:
            raise bad("store", *other)
        client = new_client(store_uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def _store_errors(store_uri: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not isinstance(error, mlflow_errors()):
            raise
        found = f"{without_password(store_uri)}: {_first_line(error)}"
        raise bad("store", "an MLflow store that can be read", found) from error


def mlflow_errors() -> tuple[type[BaseException], ...]:
    """Exceptions of MLflow and its drivers, as far as they are imported (others cannot be
    raised)."""
    found: list[type[BaseException]] = [ModuleNotFoundError]
    if "mlflow.exceptions" in sys.modules:
        found.append(sys.modules["mlflow.exceptions"].MlflowException)
    if "sqlalchemy.exc" in sys.modules:
        found.append(sys.modules["sqlalchemy.exc"].SQLAlchemyError)
    return tuple(found)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
