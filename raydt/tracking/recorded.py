"""How much of a cell is written into which store, as recorded in the cell's folder.

This module does not import MLflow, because a launch checks every cell.
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
    """How much of a cell is written, and into which store: `mlflow.json`."""

    model_config = ConfigDict(frozen=True)

    store_uri: str  # without its password
    experiment: str | None = None  # see `key_of`
    run_id: str | None  # None: the run was about to be created
    model_id: str | None = None  # of its LoggedModel, if it has one
    attempt: str
    num_reports: int
    ended: bool  # with its result
    cancelled: bool = False  # its run ended without a result, which may still come


def is_recorded(
    cell: Folder,
    store_uri: str,
    experiment: str | None,
    attempt: str,
    so_far: int | None = None,
) -> bool:
    """Whether, by the record in its folder, a cell is in this store with the result of this
    `attempt`; or, if it has no result yet, with the number of reports it has `so_far`.

    `experiment` is the present `experiment_key`: records about a store that was emptied or
    recreated do not count. A SQLite store that was moved is the same store, because it has the run.
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
    """A key that distinguishes an experiment from a later one of the same name, without importing
    MLflow.

    Empty if there is no experiment; None if it is expensive to find (a database server, or an
    MLflow server that requires a password).
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
    """The key of an experiment, from its attributes in MLflow."""
    return f"{experiment_id}@{creation_time}"


def _holds(store: Path, run_id: str | None) -> bool:
    """Whether a SQLite store has the run: another launch may have recreated a deleted store."""
    with closing(sqlite3.connect(store)) as connection:
        try:
            query = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
            return connection.execute(query, (run_id,)).fetchone() is not None
        except sqlite3.DatabaseError:
            return False


def read_state(cell: Folder) -> Recorded | None:
    """How much of a cell is written; None if unknown, so that all rows must be written again."""
    return Place(cell).state


class Place:
    """`mlflow.json` of a cell as read, which is written only if it has not changed since.

    Two launches may both believe that they hold the sweep, if one was paused. Of two that write a
    cell into the store, the later one notices here before it creates or removes a run.
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
        """Record how much of the cell is written; `RunError` if another launch has changed it."""
        data = state.model_dump_json(indent=1, exclude_unset=True).encode()
        if not self._cell.swap(STATE, self._there, data):
            raise RunError(f"{self._cell.uri}/{STATE}: another launch writes this cell")
        self._there, self.state = data, state

    def check(self) -> None:
        """Raise `RunError` if another launch has changed it since."""
        if self._cell.read(STATE) != self._there:
            raise RunError(f"{self._cell.uri}/{STATE}: another launch writes this cell")

    def now(self) -> Recorded | None:
        """How much of the cell is written by now, by any launch."""
        return Place(self._cell).state
