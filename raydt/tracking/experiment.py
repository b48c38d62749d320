"""The experiment of a sweep, or of a search, in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raydt.errors import bad
from raydt.tracking.uri import sqlite_path


def open_experiment(client: Any, store_uri: str, name: str, tags: Mapping[str, str]) -> Any:
    """MLflow's experiment of this name, made with these tags if it is not there; `InputError` if
    it is in the store's bin."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None
        store = sqlite_path(store_uri)
        if store is not None:
            # Beside the store; by default MLflow takes `mlruns` in the working directory.
            location = (store.parent / "mlflow-artifacts" / name).as_uri()
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
