"""The experiment of a sweep, or of a search, in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from raydt.errors import bad
from raydt.tracking.uri import sqlite_path

ARTIFACTS = "mlflow-artifacts"  # the folder beside a SQLite store
# Where MLflow keeps paths of files of an experiment.
_PATHS = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
_WAIT_SECONDS = 30.0  # for another writer


def open_experiment(client: Any, store_uri: str, name: str, tags: Mapping[str, str]) -> Any:
    """MLflow's experiment of this name, made with these tags if it is not there; `InputError` if
    it is in the store's bin."""
    follow_folder(store_uri, name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None
        store = sqlite_path(store_uri)
        if store is not None:
            # Beside the store; by default MLflow takes `mlruns` in the working directory.
            location = (store.parent / ARTIFACTS / name).as_uri()
        made = client.create_experiment(name, artifact_location=location, tags=dict(tags))
        experiment = client.get_experiment(made)
    if experiment.lifecycle_stage == "deleted":
        raise bad(
            f"experiment {name!r}",
            "not in the store's bin; restore it (mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}), or take another --name",
            "it there",
        )
    return experiment


def follow_folder(store_uri: str, name: str) -> None:
    """Have the artifacts of an experiment where its SQLite store is now: MLflow keeps whole paths,
    which are wrong once the folder was moved, or copied to another machine."""
    store = sqlite_path(store_uri)
    if store is None or not store.exists():
        return
    here = (store.parent / ARTIFACTS / name).as_uri()
    with closing(sqlite3.connect(store, timeout=_WAIT_SECONDS)) as connection:
        try:
            query = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?"
            row = connection.execute(query, (name,)).fetchone()
            if row is None or row[1] is None or not _has_moved(str(row[1]), here, name):
                return
            with connection:
                connection.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                    (here, row[0]),
                )
                for table, column in _PATHS:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE experiment_id = ? AND substr({column}, 1, ?) = ?",
                        (here, len(row[1]) + 1, row[0], len(row[1]), row[1]),
                    )
        except sqlite3.DatabaseError:
            return  # no store, or one that may only be read: opening it says so


def _has_moved(location: str, here: str, name: str) -> bool:
    """Whether a location is that of `here` in another folder, and is no longer there or is here."""
    parts = urlsplit(location)
    if location == here or parts.scheme not in ("", "file"):
        return False
    before = Path(unquote(parts.path))
    if (before.parent.name, before.name) != (ARTIFACTS, name):
        return False
    return not before.exists() or Path(unquote(urlsplit(here).path)).exists()
