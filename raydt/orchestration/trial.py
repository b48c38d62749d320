"""One cell in a Tune trial: Ray Train runs the loop, the journal keeps what comes of it.

With `num_workers=0` Ray Train runs the loop in the trial's own process, which costs milliseconds
where a worker group costs twenty seconds; with reused trial actors a small cell costs its training
and little else.
"""

from __future__ import annotations

import time
import traceback
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from raydt.config.model import MODELS
from raydt.config.protocol import Recipe
from raydt.corpora.prepared import open_language
from raydt.grid.journal import RESULT, WEIGHTS, Journal, write_atomically
from raydt.tracking.schema import Status
from raydt.training.checkpoint import save_weights
from raydt.training.evaluate import bits
from raydt.training.loop import (
    CheckpointFolder,
    Report,
    Resumed,
    Splits,
    TrainConfig,
    train,
)

CHECKPOINTS = "checkpoints"


def run_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config["task"]` is a task as `build_tasks` makes it."""
    trainer = TorchTrainer(
        run_cell,
        train_loop_config=config["task"],
        scaling_config=ScalingConfig(num_workers=0),
    )
    trainer.fit()


def run_cell(task: dict[str, Any]) -> None:
    """Train one cell, journal it, and put its result in place last."""
    torch.set_num_threads(1)  # a slot is one core; more threads than cores crawl
    torch.use_deterministic_algorithms(True)
    started = time.time()
    folder = Path(task["folder"])
    attempt = f"{int(started * 1000)}-{uuid.uuid4().hex[:8]}"
    journal = Journal(folder, attempt)
    journal.write("start", cell_id=task["cell_id"], fingerprint=task["fingerprint"])
    checkpoints = CheckpointFolder(folder / CHECKPOINTS, task["fingerprint"])
    try:
        result = _train(task, journal, checkpoints)
    except Exception:
        # Tune keeps tracebacks in a folder that goes with the launch.
        journal.write("error", traceback=traceback.format_exc())
        raise
    result["seconds"] = time.time() - started
    journal.write("end", status=result["status"])
    write_atomically(folder / RESULT, result)
    if result["status"] == Status.DONE:  # of a cell that diverged the last good one is kept
        checkpoints.remove()


def _train(task: dict[str, Any], journal: Journal, checkpoints: CheckpointFolder) -> dict[str, Any]:
    """Train the cell, keep its weights; its result."""

    def report(report: Report) -> None:
        row = journal.write("report", **asdict(report), val_bpb=bits(report.val_loss))
        tune.report({"cell_id": task["cell_id"], "attempt": journal.attempt, "row": row})

    def resumed(where: Resumed) -> None:
        # This attempt's journal is whole in itself: first what the checkpoint says was reported.
        journal.write("resumed", bytes_seen=where.bytes_seen, damaged=where.damaged)
        for earlier in where.reports:
            report(earlier)

    language = open_language(Path(task["language_folder"]))
    recipe = None if task["recipe"] is None else Recipe.model_validate(task["recipe"])
    outcome = train(
        TrainConfig(
            model=MODELS[task["model"]],
            recipe=recipe,
            size_bytes=task["size_bytes"],
            seed=task["seed"],
            evaluations=task["evaluations"],
            patience=task["patience"],
            test_stride_bytes=task["test_stride_bytes"],
        ),
        Splits(
            train=language.train(task["size_bytes"]),
            val=language.val(task["val_bytes"]),
            test=language.test(task["test_bytes"]),
        ),
        initial_weights=None if task["initial_weights"] is None else Path(task["initial_weights"]),
        report=report,
        checkpoints=checkpoints,
        resumed=resumed,
    )
    if outcome.status is Status.DONE:
        save_weights(outcome.weights, journal.folder / WEIGHTS)
    return {
        "cell_id": task["cell_id"],
        "fingerprint": task["fingerprint"],
        "attempt": journal.attempt,
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
    }
