"""MLflow itself, on SQLite, in the place of the model of it; its answers get lost as well."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from tests.histories.model_mlflow import Data, Info, Model, Outputs, Run
from tests.histories.world import World

_NAME = "x"  # of the sweep
# As in the model: who slept and is killed in the very step between the two leaves a run.
_NOT_AFTER_SLEEP = ("create_run", "delete_run", "create_logged_model", "delete_logged_model")


class SqliteStore:
    """A copy of an empty store; has what `ModelStore` has."""

    def __init__(self, world: World, empty: Path, path: Path) -> None:
        self.world = world
        path.parent.mkdir(parents=True, exist_ok=True)
        self._artifacts = path.with_suffix("").as_uri()
        self._real = MlflowClient(f"sqlite:///{shutil.copyfile(empty, path)}")

    @property
    def experiment(self) -> Any:
        return self._real.get_experiment_by_name(_NAME)

    def client(self) -> SqliteClient:
        return SqliteClient(self.world, self._real, self._artifacts)

    def active(self, kind: str) -> list[Run]:
        return [run for run in self.runs.values() if self._is(run, kind)]

    @property
    def runs(self) -> dict[str, Run]:
        found = self._real.search_runs([self.experiment.experiment_id], run_view_type=ViewType.ALL)
        return {run.info.run_id: self._run(run) for run in found}

    @property
    def models(self) -> dict[str, Model]:
        found = self._real.search_logged_models([self.experiment.experiment_id])
        return {
            model.model_id: Model(
                model.model_id,
                model.source_run_id,
                str(model.status),
                files={path.name for path in _folder(model.artifact_location).iterdir()},
                numbers={(metric.key, metric.value) for metric in model.metrics or ()},
            )
            for model in found
        }

    def _is(self, run: Run, kind: str) -> bool:
        return run.info.lifecycle_stage == "active" and run.data.tags["raydt.kind"] == kind

    def _run(self, run: Any) -> Run:
        return Run(
            Info(run.info.run_id, run.info.status, run.info.lifecycle_stage),
            self._data(run),
            Outputs(list(run.outputs.model_outputs) if run.outputs else []),
            {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs},
        )

    def _data(self, run: Any) -> Data:
        rows = {
            (row.key, row.value, row.timestamp, row.step)
            for name in run.data.metrics
            for row in self._real.get_metric_history(run.info.run_id, name)
        }
        return Data(dict(run.data.tags), dict(run.data.params), rows)


class SqliteClient:
    """An `MlflowClient` whose every call is a step of the world."""

    def __init__(self, world: World, real: MlflowClient, artifacts: str) -> None:
        self._world = world
        self._real = real
        self._artifacts = artifacts

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._real, name)
        may_die = name not in _NOT_AFTER_SLEEP
        return lambda *said, **named: self._world.do(
            f"MLflow: {name}", lambda: call(*said, **named), may_die_after_sleep=may_die
        )

    def create_experiment(self, name: str, **said: Any) -> str:
        """Its artifacts are beside the store, and not in the working directory."""
        said["artifact_location"] = self._artifacts
        make = self._real.create_experiment
        return self._world.do("MLflow: create experiment", lambda: make(name, **said))


def _folder(location: str) -> Path:
    return Path(unquote(urlsplit(location).path))
