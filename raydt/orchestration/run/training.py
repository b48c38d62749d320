"""The training configuration, the data and the initial weights of a task."""

from __future__ import annotations

from pathlib import Path

from raydt.corpora.prepared.language import digest_of, open_language
from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import RunError
from raydt.orchestration.run.languages import fetch_language
from raydt.orchestration.run.task import Task, Weights
from raydt.storage.opening import open_folder
from raydt.training.loop import Splits, TrainConfig


def train_config(task: Task) -> TrainConfig:
    """The task as a `TrainConfig`."""
    return TrainConfig(
        model=task.shape,
        recipe=task.recipe,
        size_bytes=task.size_bytes,
        seed=task.seed,
        evaluation_growth=task.evaluation_growth,
        evaluations=task.evaluations,
        tolerance=task.tolerance,
        patience=task.patience,
    )


def read_splits(task: Task, test_bytes: int | None) -> Splits:
    """The data that a task reads; no test split without `test_bytes`.

    Raises `RunError` if its digest is not the expected one: another launch may have prepared the
    language again from edited text, and the result would not match this task's fingerprint.
    """
    language = open_language(fetch_language(task.language, Path(task.cache) / "corpora"))
    splits = Splits(
        train=language.train(task.size_bytes),
        val=language.val(task.val_bytes),
        test=None if test_bytes is None else language.test(test_bytes),
    )
    found = digest_of(splits.train, splits.val, splits.test)
    if found != task.data_digest:
        raise RunError(
            f"language {language.name} in {task.language}: expected the bytes of this launch, "
            f"SHA-256 {task.data_digest[:12]}…, got {found[:12]}…: its corpus was changed and "
            "prepared again meanwhile; restore the text, or use another --storage for the new one"
        )
    return splits


def fetch_weights(weights: Weights | None, cache: Path) -> Path | None:
    """The initial weights of a task as a local file, None for a random initialisation; `RunError`
    if they are not the final weights of their cell."""
    if weights is None:
        return None
    cached = cache / "weights" / f"{weights.sha256}.safetensors"
    folder = open_folder(weights.folder)
    if folder.local_path is None and cached.exists() and hash_file(cached) != weights.sha256:
        cached.unlink(missing_ok=True)  # a partial copy, from a power cut or a full disk
    try:
        path = cached if cached.exists() else folder.fetch(weights.name, cached)
    except FileNotFoundError:
        raise RunError(
            f"weights {folder.uri}/{weights.name}: expected those of the parent, got no file "
            "(raydt retry trains the parent again)"
        ) from None
    found = hash_file(path)
    if found != weights.sha256:
        raise RunError(
            f"weights {path}: expected SHA-256 {weights.sha256[:12]}…, as recorded by its cell, "
            f"got {found[:12]}… (raydt retry trains the parent again)"
        )
    return path
