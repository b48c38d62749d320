"""MLflow itself, on SQLite, in the place of the model of it; its answers get lost as well."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from tests.histories.model_mlflow import Data, Info, Run
from tests.histories.world import World

_NAME = "x"  # of the sweep
# As in the model: who slept and is killed in the very step between the two leaves a run.
_NOT_AFTER_SLEEP = ("create_run", "delete_run")


class SqliteStore:
    """A copy of an empty store; has what `ModelStore` has."""

    def __init__(self, world: World, empty: Path, path: Path) -> None:
        self.world = world
        path.parent.mkdir(parents=True, exist_ok=True)
        self._real = MlflowClient(f"sqlite:///{shutil.copyfile(empty, path)}")

    @property
    def experiment(self) -> Any:
        return self._real.get_experiment_by_name(_NAME)

    def client(self) -> SqliteClient:
        return SqliteClient(self.world, self._real)

    def active(self, kind: str) -> list[Run]:
        found = self._real.search_runs(
            [self.experiment.experiment_id], f"tags.`raydt.kind` = '{kind}'"
        )
        return [Run(Info(run.info.run_id, run.info.status), self._data(run)) for run in found]

    def _data(self, run: Any) -> Data:
        rows = {
            (row.key, row.value, row.timestamp, row.step)
            for name in run.data.metrics
            for row in self._real.get_metric_history(run.info.run_id, name)
        }
        return Data(dict(run.data.tags), dict(run.data.params), rows)


class SqliteClient:
    """An `MlflowClient` whose every call is a step of the world."""

    def __init__(self, world: World, real: MlflowClient) -> None:
        self._world = world
        self._real = real

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._real, name)
        may_die = name not in _NOT_AFTER_SLEEP
        return lambda *said, **named: self._world.do(
            f"MLflow: {name}", lambda: call(*said, **named), may_die_after_sleep=may_die
        )

    def log_dict(self, run_id: str, value: Any, name: str) -> None:
        """Artifacts are files beside the store, which nothing here looks at."""
        self._world.do(f"MLflow: log {name}", lambda: None)
