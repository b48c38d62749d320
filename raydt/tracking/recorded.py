"""How far a cell is written into a store, as the cell's folder knows, and which store that is.

Nothing here imports MLflow: a launch asks of every cell whether it is recorded.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
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
    model_id: str | None = None  # of its LoggedModel, if it has one
    attempt: str
    num_reports: int
    ended: bool  # with its result
    cancelled: bool = False  # its run ended without one, which may still come


def is_recorded(
    cell: Folder,
    store_uri: str,
    experiment: str | None,
    attempt: str,
    so_far: int | None = None,
) -> bool:
    """Whether a cell stands in this store with its result, which is of this `attempt`, as far as
    its folder knows; or, of one that has none yet, with the reports it has `so_far`.

    `experiment` is what `experiment_key` says now: of a store that was emptied or made anew the
    folder knows nothing. A SQLite store that was moved is the same store: it has the run.
    """
    state = read_state(cell)
    if state is None or state.attempt != attempt:
        return False
    if not (state.ended if so_far is None else state.num_reports == so_far):
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


def read_state(cell: Folder) -> Recorded | None:
    """How far a cell is written; None if that is not known, and all rows are to be written anew."""
    return Place(cell).state


class Place:
    """`mlflow.json` of a cell, as it was read; it is written only while it is still so.

    Two launches may both believe that they hold the sweep: one of them slept. Of two that write a
    cell into the store, the one that is later here finds out before it makes or removes a run.
    """

    def __init__(self, cell: Folder) -> None:
        self._cell = cell
        try:
            self._there: bytes | None = cell.read(STATE)
        except FileNotFoundError:
            self._there = None
        self.state: Recorded | None = None
        if self._there is not None:
            with suppress(ValidationError):  # damaged: not known
                self.state = Recorded.model_validate_json(self._there)

    def put(self, state: Recorded) -> None:
        """Write down how far the cell is written; `RunError` if somebody else did."""
        data = state.model_dump_json(indent=1, exclude_unset=True).encode()
        if not self._cell.swap(STATE, self._there, data):
            raise RunError(f"{self._cell.uri}/{STATE}: another launch writes this cell")
        self._there, self.state = data, state

    def check(self) -> None:
        """`RunError` if somebody else has written it since."""
        if self._cell.read(STATE) != self._there:
            raise RunError(f"{self._cell.uri}/{STATE}: another launch writes this cell")

    def now(self) -> Recorded | None:
        """How far the cell is written by now, by whomever."""
        return Place(self._cell).state
