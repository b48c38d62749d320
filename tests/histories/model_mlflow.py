"""A model of MLflow's client: what `raydt.tracking` asks of it, in memory, its answers lost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from tests.histories.world import ViolationError, World

_CONDITION = re.compile(r"(tags|params|attributes)\.`?([^`=]+?)`? = '([^']*)'")


@dataclass
class Info:
    run_id: str
    status: str = "RUNNING"
    lifecycle_stage: str = "active"
    start_time: int | None = None
    end_time: int | None = None
    experiment_id: str = "1"
    run_name: str = ""


@dataclass
class Data:
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    rows: set[tuple[str, float, int, int]] = field(default_factory=set)


@dataclass
class Run:
    info: Info
    data: Data = field(default_factory=Data)


@dataclass
class Experiment:
    experiment_id: str = "1"
    creation_time: int = 7
    lifecycle_stage: str = "active"
    tags: dict[str, str] = field(default_factory=dict)


class Page(list[Run]):
    token: str | None = None


class ModelStore:
    """The store behind all clients of a history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.experiment: Experiment | None = None
        self.runs: dict[str, Run] = {}

    def client(self) -> ModelClient:
        return ModelClient(self)

    def active(self, kind: str) -> list[Run]:
        return [
            run
            for run in self.runs.values()
            if run.info.lifecycle_stage == "active" and run.data.tags["raydt.kind"] == kind
        ]


class ModelClient:
    """In the place of an `MlflowClient`."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def _do(self, what: str, effect: Any, **how: bool) -> Any:
        return self._store.world.do(f"MLflow: {what}", effect, **how)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        return self._do("get experiment", lambda: self._store.experiment)

    def create_experiment(self, name: str, **said: Any) -> str:
        def make() -> str:
            if self._store.experiment is None:
                self._store.experiment = Experiment(tags=dict(said.get("tags") or {}))
            return self._store.experiment.experiment_id

        return self._do("create experiment", make)

    def get_experiment(self, experiment_id: str) -> Experiment | None:
        return self._store.experiment

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        assert self._store.experiment is not None
        self._store.experiment.tags[key] = value

    def search_runs(
        self, experiments: list[str], where: str = "", max_results: int = 1000, **_: Any
    ) -> Page:
        conditions = _CONDITION.findall(where)
        if len(conditions) != len(where.split(" and ")):
            raise ViolationError(f"a filter that the model does not know: {where}")

        def look() -> Page:
            return Page(
                run
                for run in self._store.runs.values()
                if run.info.lifecycle_stage == "active"
                and all(_field(run, *condition[:2]) == condition[2] for condition in conditions)
            )

        return Page(self._do("search", look)[:max_results])

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Any = None,
        run_name: str = "",
    ) -> Run:
        def make() -> Run:
            run_id = f"run{len(self._store.runs):04d}"
            info = Info(run_id, start_time=start_time, run_name=run_name)
            self._store.runs[run_id] = Run(info, Data(dict(tags or {})))
            self._store.world.tell(f"makes {run_id} of {run_name} in MLflow")
            return self._store.runs[run_id]

        # Who slept, was taken over and is killed in the very step between making a run and taking
        # it back leaves that run: MLflow has no conditional write.
        return self._do(f"create run {run_name}", make, may_die_after_sleep=False)

    def get_run(self, run_id: str) -> Run:
        run = self._do("get run", lambda: self._store.runs.get(run_id))
        if run is None:
            raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)
        return run

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        def log() -> None:
            data = self._store.runs[run_id].data
            for param in params:
                if data.params.setdefault(param.key, param.value) != param.value:
                    raise MlflowException(f"param {param.key} has another value")
            data.rows |= {(m.key, m.value, m.timestamp, m.step) for m in metrics}
            data.tags |= {tag.key: tag.value for tag in tags}

        self._do("log", log)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._do("set tag", lambda: self._store.runs[run_id].data.tags.update({key: value}))

    def log_dict(self, run_id: str, value: Any, name: str) -> None:
        self._do(f"log {name}", lambda: None)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        def end() -> None:
            self._store.runs[run_id].info.status = status or "FINISHED"

        self._do(f"end run as {status}", end)

    def delete_run(self, run_id: str) -> None:
        def delete() -> None:
            self._store.runs[run_id].info.lifecycle_stage = "deleted"
            self._store.world.tell(f"deletes {run_id} in MLflow")

        self._do("delete run", delete, may_die_after_sleep=False)


def _field(run: Run, kind: str, name: str) -> str | None:
    if kind == "attributes":
        return str(getattr(run.info, name))
    found: dict[str, str] = getattr(run.data, kind)
    return found.get(name)
