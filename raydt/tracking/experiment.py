"""The MLflow experiment of a sweep or a search."""

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
# Tables in which MLflow stores paths of an experiment's files.
_PATHS = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
_WAIT_SECONDS = 30.0  # for another writer


def open_experiment(client: Any, store_uri: str, name: str, tags: Mapping[str, str]) -> Any:
    """The experiment of this name, created with these tags if it does not exist; `InputError` if it
    is deleted."""
    follow_folder(store_uri, name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None
        store = sqlite_path(store_uri)
        if store is not None:
            # Beside the store; MLflow's default is `mlruns` in the working directory.
            location = (store.parent / ARTIFACTS / name).as_uri()
        made = client.create_experiment(name, artifact_location=location, tags=dict(tags))
        experiment = client.get_experiment(made)
    if experiment.lifecycle_stage == "deleted":
        raise bad(
            f"experiment {name!r}",
            "one that is not deleted (restore it: mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}; or use another --name)",
            "a deleted one",
        )
    return experiment


def follow_folder(store_uri: str, name: str) -> None:
    """Update the artifact paths of an experiment to the present folder of its SQLite store: MLflow
    stores absolute paths, which are wrong after the folder was moved or copied."""
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
            return  # no store, or a read-only one: opening it reports that


def _has_moved(location: str, here: str, name: str) -> bool:
    """Whether a location is that of `here` in another folder, and no longer exists or is the
    same."""
    parts = urlsplit(location)
    if location == here or parts.scheme not in ("", "file"):
        return False
    before = Path(unquote(parts.path))
    if (before.parent.name, before.name) != (ARTIFACTS, name):
        return False
    return not before.exists() or Path(unquote(urlsplit(here).path)).exists()
