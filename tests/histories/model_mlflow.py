"""A model of MLflow's client: what `raydt.tracking` asks of it, in memory, its answers lost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
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
class Outputs:
    model_outputs: list[Any] = field(default_factory=list)


@dataclass
class Run:
    info: Info
    data: Data = field(default_factory=Data)
    outputs: Outputs = field(default_factory=Outputs)
    datasets: set[tuple[str, str]] = field(default_factory=set)  # names and digests


@dataclass
class Model:
    """A LoggedModel."""

    model_id: str
    source_run_id: str
    status: str = "PENDING"
    is_deleted: bool = False
    files: set[str] = field(default_factory=set)
    numbers: set[tuple[str, float]] = field(default_factory=set)


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
        self.models: dict[str, Model] = {}

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
            for metric in metrics:
                if metric.model_id is not None:
                    self._store.models[metric.model_id].numbers.add((metric.key, metric.value))

        self._do("log", log)

    def log_inputs(self, run_id: str, datasets: Any) -> None:
        def log() -> None:
            each = {(one.dataset.name, one.dataset.digest) for one in datasets}
            self._store.runs[run_id].datasets |= each

        self._do("log inputs", log)

    def create_logged_model(self, experiment_id: str, source_run_id: str, **said: Any) -> Model:
        def make() -> Model:
            model_id = f"m{len(self._store.models):04d}"
            self._store.models[model_id] = Model(model_id, source_run_id)
            self._store.world.tell(f"makes {model_id} of {said['name']} in MLflow")
            return self._store.models[model_id]

        # As of runs: made, and killed before it is taken back.
        return self._do("create model", make, may_die_after_sleep=False)

    def search_logged_models(self, experiments: list[str], where: str) -> list[Model]:
        run_id = re.fullmatch(r"source_run_id = '(\w+)'", where)
        if run_id is None:
            raise ViolationError(f"a filter that the model does not know: {where}")

        def look() -> list[Model]:
            every = self._store.models.values()
            return [m for m in every if m.source_run_id == run_id[1] and not m.is_deleted]

        return self._do("search models", look)

    def log_model_artifacts(self, model_id: str, folder: str) -> None:
        names = {path.name for path in Path(folder).iterdir()}
        self._do("log files", lambda: self._store.models[model_id].files.update(names))

    def log_model_artifact(self, model_id: str, path: str) -> None:
        name = Path(path).name
        assert Path(path).stat().st_size
        self._do(f"log {name}", lambda: self._store.models[model_id].files.add(name))

    def log_outputs(self, run_id: str, models: list[Any]) -> None:
        def link() -> None:
            outputs = self._store.runs[run_id].outputs.model_outputs
            if {one.model_id for one in models} & {one.model_id for one in outputs}:
                raise MlflowException("UNIQUE constraint failed: inputs")
            outputs += models

        self._do("log outputs", link)

    def finalize_logged_model(self, model_id: str, status: str) -> None:
        def end() -> None:
            self._store.models[model_id].status = status

        self._do("finalize model", end)

    def delete_logged_model(self, model_id: str) -> None:
        def delete() -> None:
            self._store.models[model_id].is_deleted = True

        self._do("delete model", delete, may_die_after_sleep=False)

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
