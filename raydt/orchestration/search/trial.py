"""One trial of a search in a process of Tune: trained like a cell, but without a test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from ray import tune

from raydt.corpora.prepared.stamps import hash_file
from raydt.orchestration.run.setup import process_of_task
from raydt.orchestration.run.task import received, sent_report
from raydt.orchestration.run.training import fetch_weights, read_splits, train_config
from raydt.orchestration.search.task import SearchTask, TrialReport
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import Outcome, Report, train
from raydt.tuning.trial import End


def run_search_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config` is that of a trial with a `SearchTask`."""
    task = received(config, SearchTask)
    with process_of_task(task.processes) as device:
        _run_trial(task, device)


def _run_trial(task: SearchTask, device: torch.device) -> None:
    started = time.time()
    losses: list[tuple[int, float]] = []

    def report(report: Report) -> None:
        losses.append((report.bytes_seen, report.val_loss))
        row = TrialReport(
            val_losses=tuple(losses),
            bytes_seen=report.bytes_seen,
            seconds=time.time() - started,
        )
        tune.report(sent_report(row))

    cache = Path(task.cache)
    outcome = train(
        train_config(task),
        read_splits(task, test_bytes=None),
        initial_weights=fetch_weights(task.initial_weights, cache),
        report=report,
        device=device,
    )
    last_word = TrialReport(
        val_losses=tuple(losses),
        bytes_seen=outcome.bytes_seen,
        seconds=time.time() - started,
        end=End.DIVERGED if outcome.status is Status.DIVERGED else End.DONE,
        reason=outcome.reason,
        weights_sha256=_keep_weights(task, outcome),
    )
    tune.report(sent_report(last_word))


def _keep_weights(task: SearchTask, outcome: Outcome) -> str | None:
    """Store the weights of a pretrain from which finetunes will start; returns their SHA-256."""
    place = task.keep_weights
    if place is None or outcome.status is not Status.DONE:
        return None
    folder = open_folder(place.folder)
    path = (folder.local_path or Path(task.cache) / "parents") / place.name
    save_weights(outcome.weights, path, outcome.alphabet)
    folder.upload(path, place.name)
    return hash_file(path)
