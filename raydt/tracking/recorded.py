"""How far a cell is written into a store, as the cell's folder knows, and which store that is.

Nothing here imports MLflow: a launch asks of every cell whether it is recorded.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

from pydantic import BaseModel, ConfigDict, ValidationError

from raydt.errors import RunError
from raydt.storage.folder import Folder
from raydt.tracking.uri import sqlite_path, without_password, without_user

STATE = "mlflow.json"


class Recorded(BaseModel):
    """How far a cell is written, and into what: `mlflow.json`."""

    model_config = ConfigDict(frozen=True)

    store_uri: str  # without its password
    experiment: str | None = None  # see `key_of`
    run_id: str | None  # None: the run was about to be made
    attempt: str
    num_reports: int
    ended: bool


def is_recorded(
    cell: Folder, store_uri: str, experiment: str | None, so_far: tuple[str, int] | None = None
) -> bool:
    """Whether a cell stands in this store with its result, as far as its folder knows; or, of one
    that has none yet, with what it has `so_far`: an attempt, and how many reports of it.

    `experiment` is what `experiment_key` says now: of a store that was emptied or made anew the
    folder knows nothing. A SQLite store that was moved is the same store: it has the run.
    """
    state = read_state(cell)
    if state is None:
        return False
    if not (state.ended if so_far is None else (state.attempt, state.num_reports) == so_far):
        return False
    if experiment is not None and state.experiment != experiment:
        return False
    store = sqlite_path(store_uri)
    if store is None:
        return state.store_uri == without_password(store_uri)
    return store.exists() and _holds(store, state.run_id)


def experiment_key(store_uri: str, sweep: str) -> str | None:
    """Tells an experiment of this name from one that was made after it, without importing MLflow.

    Empty if there is none; None if it cannot be told cheaply (a database server, or an MLflow
    server that asks for a password).
    """
    path = sqlite_path(store_uri)
    if path is not None:
        if not path.exists():
            return ""
        query = "SELECT experiment_id, creation_time FROM experiments WHERE name = ?"
        with closing(sqlite3.connect(path)) as connection:
            try:
                row = connection.execute(query, (sweep,)).fetchone()
            except sqlite3.DatabaseError:
                return ""  # not a store yet
        return key_of(*row) if row is not None else ""
    if not store_uri.startswith("http"):
        return None
    address = f"{without_user(store_uri).rstrip('/')}/api/2.0/mlflow/experiments/get-by-name"
    try:
        with urlopen(f"{address}?experiment_name={quote(sweep)}", timeout=5) as answer:
            experiment = json.load(answer)["experiment"]
    except HTTPError as error:
        return "" if error.code == HTTPStatus.NOT_FOUND else None
    except (OSError, ValueError, KeyError):
        return None
    return key_of(experiment["experiment_id"], experiment.get("creation_time"))


def key_of(experiment_id: object, creation_time: object) -> str:
    """The key of an experiment, from what MLflow says of it."""
    return f"{experiment_id}@{creation_time}"


def _holds(store: Path, run_id: str | None) -> bool:
    """Whether a SQLite store has the run: another launch may have made a deleted store anew."""
    with closing(sqlite3.connect(store)) as connection:
        try:
            query = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
            return connection.execute(query, (run_id,)).fetchone() is not None
        except sqlite3.DatabaseError:
            return False


def write_state(cell: Folder, state: Recorded) -> None:
    """Write down how far a cell is written."""
    cell.write_json(STATE, state.model_dump())


def read_state(cell: Folder) -> Recorded | None:
    """How far a cell is written; None if that is not known, and all rows are to be written anew."""
    try:
        state = cell.read_json(STATE)
        return None if state is None else Recorded.model_validate(state)
    except (RunError, ValidationError):
        return None
