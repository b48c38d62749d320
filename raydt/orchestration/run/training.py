"""The training configuration, the data and the initial weights of a task."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.prepared.language import digest_of, open_language
from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import RunError
from raydt.orchestration.run.languages import fetch_language, fetch_test
from raydt.orchestration.run.task import SourceTest, Task, Weights
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


def read_splits(
    task: Task, test_bytes: int | None, source_test: SourceTest | None = None
) -> Splits:
    """The data that a task reads; no test split without `test_bytes`.

    Raises `RunError` if its digest is not the expected one: another launch may have prepared the
    language again from edited text, and the result would not match this task's fingerprint.
    """
    language = open_language(fetch_language(task.language, Path(task.cache) / "corpora"))
    splits = Splits(
        train=language.train(task.size_bytes),
        val=language.val(task.val_bytes),
        test=None if test_bytes is None else language.test(test_bytes),
        source_test=None if source_test is None else _read_source_test(source_test, task.cache),
    )
    found = digest_of(splits.train, splits.val, splits.test)
    _check_same(f"language {language.name} in {task.language}", task.data_digest, found)
    return splits


def _read_source_test(test: SourceTest, cache: str) -> NDArray[np.uint8]:
    path = fetch_test(test.language, Path(cache) / "corpora")
    data = np.fromfile(path, np.uint8, test.num_bytes)
    found = hashlib.sha256(data.data).hexdigest()
    _check_same(f"test of the source in {test.language}", test.sha256, found)
    return data


def _check_same(what: str, expected: str, found: str) -> None:
    if found != expected:
        raise RunError(
            f"{what}: expected the bytes of this launch, SHA-256 {expected[:12]}…, got "
            f"{found[:12]}…: its corpus was changed and prepared again meanwhile; restore "
            "the text, or use another --storage for the new one"
        )


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
