"""Weights from outside a sweep that its finetunes start from: found, checked, and where workers
fetch them."""

from __future__ import annotations

import json
from pathlib import Path

from raydt.config.model import MODELS, ModelConfig
from raydt.config.sources import CKPT, Checkpoint, model_of_hub
from raydt.config.sweep import Sweep
from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import InputError, Problem, RunError
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.result import read_result
from raydt.orchestration.run.task import Weights
from raydt.tracking.schema import Status

_CONFIG, _MODEL = "config.json", "model.safetensors"  # of an exported folder
# The folder of the storage that has those which machines do not share; no sweep is called so.
PUBLISHED = ".checkpoints"


def check_outside(sweep: Sweep) -> list[Problem]:
    """What is wrong with the checkpoints of a sweep, found without reading their weights."""
    found = [_look(sweep, checkpoint) for checkpoint in sweep.checkpoints.values()]
    problems = [each for each in found if isinstance(each, Problem)]
    for checkpoint, each in zip(sweep.checkpoints.values(), found, strict=True):
        if not isinstance(each, Problem):
            problems += _other_models(sweep, checkpoint, each[0])
    return problems


def outside_weights(sweep: Sweep) -> dict[str, Weights]:
    """The weights of each checkpoint, by its label; `InputError` for what `check_outside` finds and
    for weights that are not those which were exported."""
    problems = check_outside(sweep)
    weights: dict[str, Weights] = {}
    for label, checkpoint in sweep.checkpoints.items():
        found = _look(sweep, checkpoint)
        if isinstance(found, Problem):
            continue
        _, place = found
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


def _look(sweep: Sweep, checkpoint: Checkpoint) -> tuple[ModelConfig, Weights] | Problem:
    what = f"sources: {checkpoint}"
    if checkpoint.kind == CKPT:
        return _exported(what, Path(checkpoint.place))
    return _cell(what, sweep, *checkpoint.place.split("/", 1))


def _exported(what: str, folder: Path) -> tuple[ModelConfig, Weights] | Problem:
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        return Problem(what, "a folder that `raydt export` wrote", f"{_CONFIG}: {error}")
    if not isinstance(config, dict):
        return Problem(what, "a folder that `raydt export` wrote", f"another {_CONFIG}")
    model = model_of_hub(what, config)
    if isinstance(model, Problem):
        return model
    if not (folder / _MODEL).is_file():
        return Problem(what, f"weights in {_MODEL}", "no such file")
    sha256 = config.get("raydt", {}).get("weights_sha256")
    if not isinstance(sha256, str):
        return Problem(what, f"the SHA-256 of its weights in {_CONFIG}", "none")
    return model, Weights(folder=str(folder), name=_MODEL, sha256=sha256)


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
        status = "no such cell that ended" if result is None else str(result.status)
        return Problem(what, f"a cell that is done, of a sweep in {sweep.storage}", status)
    folder = attempt_folder(cell, result.attempt)
    if result.weights_sha256 is None or not folder.exists(WEIGHTS):
        return Problem(what, "weights on the storage", "none")
    weights = Weights(folder=folder.uri, name=WEIGHTS, sha256=result.weights_sha256)
    return MODELS[result.model], weights


def _other_models(sweep: Sweep, checkpoint: Checkpoint, model: ModelConfig) -> list[Problem]:
    """Where scratch would be of another architecture there is nothing to compare."""
    problems = []
    for name in sweep.models:
        own, its = MODELS[name].model_dump(), model.model_dump()
        others = [field for field in own if its[field] != own[field]]
        differ = [f"{field} {its[field]}, not {own[field]}" for field in others]
        if differ:
            what = f"sources: {checkpoint}"
            problems.append(Problem(what, f"a model {name}, as of --models", ", ".join(differ)))
    return problems


def _published(sweep: Sweep, weights: Weights) -> Weights:
    """Weights where all machines find them: on the storage, if that is no disk."""
    storage = sweep.storage_folder
    if storage.local_path is not None:
        return weights
    place = storage / PUBLISHED / weights.sha256
    if not place.exists(WEIGHTS):
        place.upload(Path(weights.folder, weights.name), WEIGHTS)
    return Weights(folder=place.uri, name=WEIGHTS, sha256=weights.sha256)
