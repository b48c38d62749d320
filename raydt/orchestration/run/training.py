"""What a task says, as the training loop takes it; and the weights that it starts from."""

from __future__ import annotations

from pathlib import Path

from raydt.config.model import MODELS
from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import RunError
from raydt.orchestration.run.task import Task, Weights
from raydt.storage.opening import open_folder
from raydt.training.loop import TrainConfig


def train_config(task: Task) -> TrainConfig:
    """Model, recipe and when it ends."""
    return TrainConfig(
        model=MODELS[task.model],
        recipe=task.recipe,
        size_bytes=task.size_bytes,
        seed=task.seed,
        evaluation_growth=task.evaluation_growth,
        evaluations=task.evaluations,
        tolerance=task.tolerance,
        patience=task.patience,
    )


def fetch_weights(weights: Weights | None, cache: Path) -> Path | None:
    """The weights that a task starts from as a file here, None if it starts at random; `RunError`
    if they are not those that their cell ended with."""
    if weights is None:
        return None
    cached = cache / "weights" / f"{weights.sha256}.safetensors"
    folder = open_folder(weights.folder)
    try:
        path = cached if cached.exists() else folder.fetch(weights.name, cached)
    except FileNotFoundError:
        raise RunError(
            f"weights {folder.uri}/{weights.name}: expected those of the parent, found no such "
            "file (raydt retry trains the parent again)"
        ) from None
    found = hash_file(path)
    if found != weights.sha256:
        raise RunError(
            f"weights {path}: expected SHA-256 {weights.sha256[:12]}…, as its cell ended, "
            f"found {found[:12]}… (raydt retry trains the parent again)"
        )
    return path
