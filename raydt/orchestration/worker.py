"""A cell where it is trained: its data and weights are fetched, and what comes of it is kept."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ray import tune

from raydt.config.model import MODELS
from raydt.config.protocol import Recipe
from raydt.corpora.files import hash_file
from raydt.corpora.prepared import open_language
from raydt.errors import RunError
from raydt.grid.journal import WEIGHTS, Attempt
from raydt.orchestration.languages import fetch_language
from raydt.storage.folder import open_folder
from raydt.tracking.schema import Status
from raydt.training.checkpoint import save_weights
from raydt.training.evaluate import bits
from raydt.training.loop import Outcome, Report, Splits, TrainConfig, train


def run_cell(task: dict[str, Any]) -> None:
    """Train one cell and journal it; its outcome is put in place last."""
    torch.set_num_threads(task["cpus"])
    torch.use_deterministic_algorithms(True)
    started = time.time()
    attempt = Attempt(open_folder(task["folder"]), open_folder(task["sweep"]), task["launch"])
    attempt.begin([], cell_id=task["cell_id"], fingerprint=task["fingerprint"])
    try:
        outcome = _train(task, attempt)
    except Exception:
        # Tune keeps tracebacks in a folder that goes with the launch.
        attempt.write("error", traceback=traceback.format_exc())
        raise
    outcome["seconds"] = time.time() - started
    attempt.end(outcome)


def _train(task: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    """Train the cell, keep its weights; what came of it."""

    def report(report: Report) -> None:
        row = attempt.write("report", **asdict(report), val_bpb=bits(report.val_loss))
        if task["num_workers"] == 0:
            tune.report({"cell_id": task["cell_id"], "attempt": attempt.attempt_id, "row": row})

    cache = Path(task["cache"])
    language = open_language(fetch_language(task["language"], cache / "corpora"))
    recipe = None if task["recipe"] is None else Recipe.model_validate(task["recipe"])
    work = attempt.folder.local_path or cache / "attempts" / attempt.attempt_id
    outcome = train(
        TrainConfig(
            model=MODELS[task["model"]],
            recipe=recipe,
            size_bytes=task["size_bytes"],
            seed=task["seed"],
            evaluations=task["evaluations"],
            patience=task["patience"],
        ),
        Splits(
            train=language.train(task["size_bytes"]),
            val=language.val(task["val_bytes"]),
            test=language.test(task["test_bytes"]),
        ),
        initial_weights=_initial_weights(task, cache),
        report=report,
    )
    sha256 = None
    # Those of a zero-shot are its parent's.
    if outcome.status is Status.DONE and recipe is not None:
        weights = work / WEIGHTS
        save_weights(outcome.weights, weights)
        sha256 = hash_file(weights)
        attempt.folder.upload(weights, WEIGHTS)
    return _result(task, attempt, outcome, sha256)


def _initial_weights(task: dict[str, Any], cache: Path) -> Path | None:
    """The parent's weights as a file here; `RunError` if they are not those that it ended with."""
    parent = task["initial_weights"]
    if parent is None:
        return None
    cached = cache / "weights" / f"{parent['sha256']}.safetensors"
    folder = open_folder(parent["folder"])
    try:
        path = cached if cached.exists() else folder.fetch(parent["name"], cached)
    except FileNotFoundError:
        raise RunError(
            f"weights {folder.uri}/{parent['name']}: those of the parent are required; found no "
            "such file (raydt retry trains the parent again)"
        ) from None
    found = hash_file(path)
    if found != parent["sha256"]:
        raise RunError(
            f"weights {path}: SHA-256 {parent['sha256'][:12]}… is required, as its cell ended; "
            f"found {found[:12]}… (raydt retry trains the parent again)"
        )
    return path


def _result(
    task: dict[str, Any], attempt: Attempt, outcome: Outcome, sha256: str | None
) -> dict[str, Any]:
    return {
        "cell_id": task["cell_id"],
        "fingerprint": task["fingerprint"],
        "attempt": attempt.attempt_id,
        "model": task["model"],
        "time": time.time(),
        "status": outcome.status,
        "reason": outcome.reason,
        "stopped": outcome.stopped,
        "test_loss": outcome.test_loss,
        "test_bpb": None if outcome.test_loss is None else bits(outcome.test_loss),
        "test_loss_stderr": outcome.test_loss_stderr,
        "best_val_loss": outcome.best_val_loss,
        "best_bytes_seen": outcome.best_bytes_seen,
        "bytes_seen": outcome.bytes_seen,
        "training_seconds": outcome.training_seconds,
        "weights_sha256": sha256,
    }
