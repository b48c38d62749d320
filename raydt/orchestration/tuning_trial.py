"""One trial of a search in a process of Tune: as a cell is trained, but never tested."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ray import tune

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.language import open_language
from raydt.corpora.prepared.stamps import hash_file
from raydt.orchestration.languages import fetch_language
from raydt.orchestration.worker import initial_weights
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status
from raydt.training.checkpoint import save_weights
from raydt.training.loop import Outcome, Report, Splits, TrainConfig, train
from raydt.training.process import set_up_process
from raydt.tuning.score import score

SCORE = "score"
EVALUATIONS = "evaluations"


def run_tuning_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config["task"]` is a task as `raydt.orchestration.tuning` makes it.

    Every report has all evaluations up to it, so that the last one tells the whole trial, however
    it ended. `score` is what ASHA compares: of trials with a fixed budget.
    """
    task = config["task"]
    set_up_process(task["cpus"])
    started = time.time()
    losses: list[tuple[int, float]] = []

    def state(**more: Any) -> dict[str, Any]:
        return {
            "val_losses": list(losses),
            "bytes_seen": losses[-1][0] if losses else 0,
            "seconds": time.time() - started,
            **more,
        }

    def report(report: Report) -> None:
        losses.append((report.bytes_seen, report.val_loss))
        row = state()
        if task["reference"]:
            values = [loss for _, loss in losses]
            row[SCORE] = score(values, task["reference"], task["budget_factor"])
            row[EVALUATIONS] = len(losses)
        tune.report(row)

    cache = Path(task["cache"])
    language = open_language(fetch_language(task["language"], cache / "corpora"))
    outcome = train(
        TrainConfig(
            model=MODELS[task["model"]],
            recipe=Recipe.model_validate(task["recipe"]),
            size_bytes=task["size_bytes"],
            seed=task["seed"],
            evaluation_growth=task["evaluation_growth"],
            evaluations=task["evaluations"],
            tolerance=task["tolerance"],
            patience=task["patience"],
        ),
        Splits(
            train=language.train(task["size_bytes"]),
            val=language.val(task["val_bytes"]),
            test=None,
        ),
        initial_weights=initial_weights(task["initial_weights"], cache),
        report=report,
    )
    diverged = outcome.status is Status.DIVERGED
    tune.report(
        state(
            ended="diverged" if diverged else "done",
            reason=outcome.reason,
            bytes_seen=outcome.bytes_seen,
            weights_sha256=_keep_weights(task, outcome),
        )
    )


def _keep_weights(task: dict[str, Any], outcome: Outcome) -> str | None:
    """Of a pretrain that finetunes will start from: put them on the storage; their SHA-256."""
    place = task["keep_weights"]
    if place is None or outcome.status is not Status.DONE:
        return None
    folder = open_folder(place["folder"])
    path = (folder.local_path or Path(task["cache"]) / "parents") / place["name"]
    save_weights(outcome.weights, path, outcome.alphabet)
    folder.upload(path, place["name"])
    return hash_file(path)
