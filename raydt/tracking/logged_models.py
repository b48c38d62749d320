"""Models of cells in MLflow: a LoggedModel with the weights, which `mlflow.pyfunc` loads.

One a run: whoever makes it writes its id beside the cell first (`Recorded.model_id`), as of runs.
"""

from __future__ import annotations

import json
import platform
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from raydt.errors import RunError
from raydt.grid.journal import WEIGHTS
from raydt.grid.read_data import ReadData
from raydt.storage.folder import Folder
from raydt.tracking import schema
from raydt.tracking.cell_numbers import Number
from raydt.tracking.datasets import dataset_name
from raydt.tracking.recorded import Place, Recorded

# What `mlflow.pyfunc` imports to load one; in a process of its user, and never here.
_LOADER = "raydt.probes.pyfunc"
_SHAPE = "model.json"
_TYPE = "byte-level language model"
_NOT_IN_NAMES = re.compile(r"[/:.%\"']+")  # MLflow's own rule
_PACKAGES = ("mlflow", "raydt", "torch", "safetensors")


@dataclass(frozen=True)
class ModelOf:
    """A cell whose model is wanted in MLflow."""

    cell_id: str
    shape: Mapping[str, object]  # the fields of its `raydt.config.model.ModelConfig`


class LoggedModels:
    """Makes and deletes the models of runs in one experiment."""

    def __init__(self, client: Any, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def log(
        self,
        place: Place,
        state: Recorded,
        weights: Folder,
        model: ModelOf,
        params: Mapping[str, str],
        bytes_seen: int,
    ) -> Recorded:
        """The model of a run that is there and not ended, whole; what is there already stays.

        `weights` is the folder that has them. `RunError` if another launch writes the cell.
        """
        if state.model_id is None:
            state = self._begin(place, state, model, params)
        assert state.run_id is not None
        assert state.model_id is not None
        self._upload(state.model_id, state.run_id, weights, model)
        self._link(state.run_id, state.model_id, bytes_seen)
        self._client.finalize_logged_model(state.model_id, "READY")
        return state

    def delete_of(self, run_id: str, check: Callable[[], None]) -> None:
        """Delete the models of a run; `check` as of `CellRuns.delete`."""
        for found in self._of(run_id):
            check()
            self._client.delete_logged_model(found.model_id)

    def _of(self, run_id: str) -> list[Any]:
        where = f"source_run_id = '{run_id}'"
        return list(self._client.search_logged_models([self._experiment_id], where))

    def _begin(
        self, place: Place, state: Recorded, model: ModelOf, params: Mapping[str, str]
    ) -> Recorded:
        assert state.run_id is not None
        # One whose making was cut off before it was written down.
        there = self._of(state.run_id)
        if there:
            state = state.model_copy(update={"model_id": str(there[0].model_id)})
            place.put(state)
            return state
        made = self._client.create_logged_model(
            self._experiment_id,
            name=_NOT_IN_NAMES.sub("-", model.cell_id),
            source_run_id=state.run_id,
            tags={schema.TAG_CELL_ID: model.cell_id, schema.TAG_ATTEMPT: state.attempt},
            params=dict(params),
            model_type=_TYPE,
        )
        state = state.model_copy(update={"model_id": str(made.model_id)})
        try:
            place.put(state)
        except RunError:
            # Who was quicker may have found this one, and kept it.
            now = place.now()
            if now is None or now.model_id != state.model_id:
                self._client.delete_logged_model(state.model_id)
            raise
        return state

    def _upload(self, model_id: str, run_id: str, weights: Folder, model: ModelOf) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            about, cached = Path(temporary, "about"), Path(temporary, WEIGHTS)
            about.mkdir()
            _describe(about, model_id, run_id, model)
            self._client.log_model_artifacts(model_id, str(about))
            # On a disk the file itself, which is not copied once more.
            self._client.log_model_artifact(model_id, str(weights.fetch(WEIGHTS, cached)))

    def _link(self, run_id: str, model_id: str, bytes_seen: int) -> None:
        """Make the model the run's output, which MLflow takes once."""
        from mlflow.entities import LoggedModelOutput

        outputs = self._client.get_run(run_id).outputs
        if any(each.model_id == model_id for each in (outputs.model_outputs if outputs else ())):
            return
        self._client.log_outputs(run_id, [LoggedModelOutput(model_id, step=bytes_seen)])


def metrics_of(
    numbers: Sequence[Number], model_id: str | None, read: Sequence[ReadData]
) -> list[Any]:
    """Numbers as MLflow's metrics; final ones are of the model, if there is one, and of the data
    that they were measured on."""
    from mlflow.entities import Metric

    # Of two tests the second is of a source, and no number of the model's here.
    data = {each.split: each for each in reversed(read)}
    metrics = []
    for number in numbers:
        on = data.get(number.split or "")
        of_model = model_id is not None and number.is_final
        metrics.append(
            Metric(
                number.name,
                number.value,
                int(number.seconds * 1000),
                number.bytes_seen,
                model_id=model_id if of_model else None,
                dataset_name=dataset_name(on) if of_model and on else None,
                dataset_digest=on.digest if of_model and on else None,
            )
        )
    return metrics


def _describe(folder: Path, model_id: str, run_id: str, model: ModelOf) -> None:
    """MLflow's description of a model, and what the loader needs besides the weights."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    text = Schema([ColSpec(DataType.string)])
    nats = Schema([ColSpec(DataType.double)])
    described = Model(run_id=run_id, model_id=model_id, signature=ModelSignature(text, nats))
    described.add_flavor(
        "python_function", loader_module=_LOADER, python_version=platform.python_version()
    )
    described.save(str(folder / "MLmodel"))
    (folder / _SHAPE).write_text(json.dumps(dict(model.shape), indent=1) + "\n", "utf-8")
    packages = (*_PACKAGES, "transformers") if model.shape.get("hub") else _PACKAGES
    needed = [f"{name}=={version(name)}\n" for name in packages]
    (folder / "requirements.txt").write_text("".join(needed), "utf-8")
