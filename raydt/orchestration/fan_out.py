"""The Tune experiment of a launch: all missing cells, several at once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.progress_reporter import TrialProgressCallback

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, write_atomically
from raydt.grid.schedule import Schedule
from raydt.orchestration.recorder import Recorder
from raydt.orchestration.search import GridSearcher, LivesInDriver
from raydt.orchestration.trial import run_trial
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Status


class _Events(LivesInDriver, Callback):  # type: ignore[misc]
    """Passes on what happens to trials, to the display and to MLflow."""

    def __init__(
        self,
        progress: Progress,
        recorder: Recorder,
        tasks: Mapping[str, dict[str, Any]],
    ) -> None:
        self._progress = progress
        self._recorder = recorder
        self._tasks = tasks

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._progress.started(trial.config["task"]["cell_id"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "row" in result:
            self._progress.reported(result["cell_id"], result["row"])
            self._recorder.reported(result["cell_id"], result["attempt"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._decided(trial.config["task"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        task = trial.config["task"]
        write_atomically(Path(task["folder"]) / RESULT, _failure(task, trial))
        self._decided(task)

    def _decided(self, task: Mapping[str, Any]) -> None:
        result = json.loads((Path(task["folder"]) / RESULT).read_text())
        self._progress.ended(task["cell_id"], result)
        self._recorder.ended(task["cell_id"], result)


class _Silent(LivesInDriver, TrialProgressCallback):  # type: ignore[misc]
    """In the place of Tune's own, which prints a trial that ended without a report even where it
    was asked to be quiet."""

    def _print(self, msg: str) -> None:
        """Nothing."""


def _failure(task: Mapping[str, Any], trial: Any) -> dict[str, Any]:
    """The result of a cell that failed for good: no numbers, and the reason."""
    attempts = sorted((Path(task["folder"]) / "attempts").glob("*.jsonl"))
    error_file = trial.error_file
    text = Path(error_file).read_text() if error_file else "no error was recorded"
    lines = [line for line in text.splitlines() if line.strip()]
    return {
        "cell_id": task["cell_id"],
        "fingerprint": task["fingerprint"],
        "attempt": attempts[-1].stem if attempts else f"{int(time.time() * 1000)}-none",
        "model": task["model"],
        "time": time.time(),
        "status": Status.FAILED,
        "reason": lines[-1].strip() if lines else "no error was recorded",
        "bytes_seen": 0,
        "training_seconds": 0.0,
    }


def fan_out(
    sweep: Sweep,
    missing: list[Cell],
    tasks: Mapping[str, dict[str, Any]],
    seconds: Mapping[str, float],
    progress: Progress,
    recorder: Recorder,
) -> None:
    """Run the missing cells; returns when none is left that can run."""

    def is_done(cell_id: str) -> bool:
        result = json.loads((Path(tasks[cell_id]["folder"]) / RESULT).read_text())
        return bool(result["status"] == Status.DONE)

    # A Ray of our own has as many slots as the sweep. A cluster is shared, and an actor that is
    # reused gives nothing back before the end: a sweep takes as much as it was told to.
    max_running = sweep.slots if os.environ.get("RAY_ADDRESS") else None
    schedule = Schedule(missing, seconds)
    searcher = GridSearcher(schedule, tasks, is_done, progress.blocked, max_running)
    resources = {"cpu": sweep.cpus_per_cell, "gpu": sweep.gpus_per_cell}
    # What goes wrong in a cell is told by its result and its journal.
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # Tune's own state is never restored, so it lives only as long as the launch.
    tune_folder = sweep.folder / "tune"
    shutil.rmtree(tune_folder, ignore_errors=True)
    try:
        Tuner(
            tune.with_resources(run_trial, {k: v for k, v in resources.items() if v}),
            tune_config=TuneConfig(
                search_alg=searcher,
                # One sample is one cell; the searcher ends the experiment itself.
                num_samples=len(missing),
                max_concurrent_trials=None,
                reuse_actors=True,
            ),
            run_config=RunConfig(
                name="tune",
                storage_path=str(sweep.folder),
                failure_config=FailureConfig(max_failures=sweep.max_retries),
                callbacks=[_Events(progress, recorder, tasks), _Silent()],
                verbose=0,
            ),
        ).fit()
    finally:
        shutil.rmtree(tune_folder, ignore_errors=True)
