"""What a task says, as the training loop takes it; the bytes that it reads, and the weights that it
starts from."""

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
    """Model, recipe and when it ends."""
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
    """The bytes that a task reads; without `test_bytes` no test split.

    `RunError` if they are not those that it was made for: another launch may have prepared the
    language anew, from text that was edited, and their result would be one of other data under
    this task's fingerprint.
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


def _read_source_test(asked: SourceTest, cache: str) -> NDArray[np.uint8]:
    path = fetch_test(asked.language, Path(cache) / "corpora")
    data = np.fromfile(path, np.uint8, asked.num_bytes)
    found = hashlib.sha256(data.data).hexdigest()
    _check_same(f"test of the source in {asked.language}", asked.sha256, found)
    return data


def _check_same(what: str, expected: str, found: str) -> None:
    if found != expected:
        raise RunError(
            f"{what}: expected the bytes of this launch, SHA-256 {expected[:12]}…, got "
            f"{found[:12]}…: its corpus was changed and prepared anew meanwhile; put the text "
            "back, or take another --storage for the new one"
        )


def fetch_weights(weights: Weights | None, cache: Path) -> Path | None:
    """The weights that a task starts from as a file here, None if it starts at random; `RunError`
    if they are not those that their cell ended with."""
    if weights is None:
        return None
    cached = cache / "weights" / f"{weights.sha256}.safetensors"
    folder = open_folder(weights.folder)
    if folder.local_path is None and cached.exists() and hash_file(cached) != weights.sha256:
        cached.unlink(missing_ok=True)  # a copy that was torn, by a power cut or a full disk
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
