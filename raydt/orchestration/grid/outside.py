"""Weights from outside the sweep, as parents of finetunes: find them, check them, and make them
available to workers."""

from __future__ import annotations

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

from raydt.config.hub_folder import CONFIG, MODEL, model_in
from raydt.config.model import ModelConfig
from raydt.config.sources import CKPT, Checkpoint
from raydt.config.sweep import Sweep
from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import InputError, Problem, RunError
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.ledger import recorded_sweep
from raydt.grid.result import read_result
from raydt.orchestration.run.task import Weights
from raydt.tracking.schema import Status

_FEW = 8  # differences in a message
# The folder in the storage for weights that machines do not share; not a possible name of a sweep.
PUBLISHED = ".checkpoints"


def check_outside(sweep: Sweep) -> list[Problem]:
    """The problems of a sweep's checkpoints, without reading their weights."""
    found = [_look(sweep, checkpoint) for checkpoint in sweep.checkpoints.values()]
    problems = [each for each in found if isinstance(each, Problem)]
    for checkpoint, each in zip(sweep.checkpoints.values(), found, strict=True):
        if not isinstance(each, Problem):
            problems += _other_models(sweep, checkpoint, each[0])
    return problems


def outside_weights(sweep: Sweep) -> dict[str, Weights]:
    """The weights of each checkpoint, by label; `InputError` for the problems of `check_outside`,
    and for weights that differ from those exported."""
    problems = check_outside(sweep)
    weights: dict[str, Weights] = {}
    for label, checkpoint in sweep.checkpoints.items():
        found = _look(sweep, checkpoint)
        if isinstance(found, Problem):
            continue
        model, place = found
        if place is None:
            converted = _converted(sweep, checkpoint, model)
            if isinstance(converted, Problem):
                problems.append(converted)
            else:
                weights[label] = converted
            continue
        if checkpoint.kind == CKPT:
            path = Path(place.folder, place.name)
            sha256 = hash_file(path)
            if sha256 != place.sha256:
                expected = f"the weights that were exported, SHA-256 {place.sha256[:12]}…"
                problems.append(Problem(str(path), expected, f"{sha256[:12]}…"))
            place = _published(sweep, place)
        weights[label] = place
    if problems:
        raise InputError(problems)
    return weights


def _look(sweep: Sweep, checkpoint: Checkpoint) -> tuple[ModelConfig, Weights | None] | Problem:
    """The model and its weights; None for weights in Hugging Face format, to be converted."""
    what = f"sources: {checkpoint}"
    if checkpoint.kind == CKPT:
        return _in_folder(what, Path(checkpoint.place))
    return _cell(what, sweep, *checkpoint.place.split("/", 1))


def _in_folder(what: str, folder: Path) -> tuple[ModelConfig, Weights | None] | Problem:
    model = model_in(what, folder)
    if isinstance(model, Problem):
        return model
    if model.family == "hub":
        if find_spec("transformers") is None:
            expected = "the package transformers, which builds models in Hugging Face format"
            return Problem(what, f"{expected} (pip install 'raydt[hf]')", "none")
        return model, None
    if not (folder / MODEL).is_file():
        return Problem(what, f"weights in {MODEL}", "no file")
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    sha256 = config.get("raydt", {}).get("weights_sha256")
    if not isinstance(sha256, str):
        return Problem(what, f"the SHA-256 of its weights in {CONFIG}", "none")
    return model, Weights(folder=str(folder), name=MODEL, sha256=sha256)


def _cell(
    what: str, sweep: Sweep, name: str, cell_id: str
) -> tuple[ModelConfig, Weights] | Problem:
    if name == sweep.name:
        return Problem(what, "a cell of another sweep", "this one")
    cell = sweep.storage_folder / name / "cells" / cell_id
    try:
        result = read_result(cell, RESULT)
    except (RunError, OSError) as error:
        return Problem(what, f"a cell of a sweep in {sweep.storage}", str(error))
    if result is None or result.status is not Status.DONE:
        status = "none that has ended" if result is None else str(result.status)
        return Problem(what, f"a cell that is done, of a sweep in {sweep.storage}", status)
    folder = attempt_folder(cell, result.attempt)
    if result.weights_sha256 is None or not folder.exists(WEIGHTS):
        return Problem(what, "weights on the storage", "none")
    weights = Weights(folder=folder.uri, name=WEIGHTS, sha256=result.weights_sha256)
    return recorded_sweep(sweep.storage, name).model(result.model), weights


def _other_models(sweep: Sweep, checkpoint: Checkpoint, model: ModelConfig) -> list[Problem]:
    """A checkpoint of another architecture cannot be compared with scratch cells of the sweep."""
    problems = []
    for name in sweep.models:
        own, its = _fields(sweep.model(name)), _fields(model)
        fields = dict.fromkeys([*own, *its])
        others = [field for field in fields if its.get(field) != own.get(field)][:_FEW]
        differ = [f"{field} {its.get(field)}, not {own.get(field)}" for field in others]
        if differ:
            what = f"sources: {checkpoint}"
            problems.append(Problem(what, f"a model {name}, as in --models", ", ".join(differ)))
    return problems


def _fields(model: ModelConfig) -> dict[str, object]:
    """The fields of a shape, including the ids of bytes and the fields of its own config."""
    fields: dict[str, object] = model.model_dump(exclude={"hub"})
    if model.hub is None:
        return fields
    ids = " ".join(map(str, model.hub.byte_ids))
    return {"model_type": None, **fields, **model.hub.fields, "ids of bytes": ids}


def _converted(sweep: Sweep, checkpoint: Checkpoint, model: ModelConfig) -> Weights | Problem:
    """Convert weights in Hugging Face format and store them: in one file, float32, with canonical
    names.

    The digest is that of the converted file, so it does not depend on shards.
    """
    # Imported here because transformers is optional.
    from raydt.model.hub_weights import read_hub_weights
    from raydt.training.checkpoints.weights import save_weights

    decoder = read_hub_weights(f"sources: {checkpoint}", Path(checkpoint.place), model)
    if isinstance(decoder, Problem):
        return decoder
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, WEIGHTS)
        save_weights(decoder.state_dict(), path)
        sha256 = hash_file(path)
        place = sweep.storage_folder / PUBLISHED / sha256
        if not place.exists(WEIGHTS):
            place.upload(path, WEIGHTS)
    return Weights(folder=place.uri, name=WEIGHTS, sha256=sha256)


def _published(sweep: Sweep, weights: Weights) -> Weights:
    """Make weights available to all machines: upload them if the storage is not a disk."""
    storage = sweep.storage_folder
    if storage.local_path is not None:
        return weights
    place = storage / PUBLISHED / weights.sha256
    if not place.exists(WEIGHTS):
        place.upload(Path(weights.folder, weights.name), WEIGHTS)
    return Weights(folder=place.uri, name=WEIGHTS, sha256=weights.sha256)
