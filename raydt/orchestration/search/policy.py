"""The Tune experiment of a search: what `raydt.tuning.search` asks for, several at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.search import Searcher

from raydt.orchestration.cluster.runtime import on_cluster
from raydt.orchestration.run.events import Silent, reason_of
from raydt.orchestration.run.searcher import LivesInDriver
from raydt.orchestration.search.stopping import StopsByStudy
from raydt.orchestration.search.trial import run_tuning_trial
from raydt.terminal.search_progress import SearchProgress
from raydt.tuning.score import Curve
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Finished, Trial

_TUNE = "tune"


def fan_out_search(
    search: Search,
    task_of: Callable[[Trial], dict[str, Any]],
    progress: SearchProgress,
    on_finished: Callable[[Finished], None],
) -> None:
    """Run a search to its end."""
    sweep = search.plan.sweep
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    resources = {"CPU": float(sweep.cpus_per_cell), "GPU": float(sweep.gpus_per_cell)}
    folder = search.plan.folder
    folder.remove(_TUNE)
    searcher = _Searcher(search, task_of, progress, on_finished)
    try:
        with TemporaryDirectory(prefix="raydt-") as own:
            Tuner(
                tune.with_resources(
                    run_tuning_trial,
                    tune.PlacementGroupFactory(
                        [{name: amount for name, amount in resources.items() if amount}]
                    ),
                ),
                tune_config=TuneConfig(
                    search_alg=searcher,
                    scheduler=StopsByStudy(sweep.protocol.evaluations, searcher.is_stopped),
                    # The searcher ends the experiment itself.
                    num_samples=10 * search.cost.whole.num_runs,
                    max_concurrent_trials=None,
                    reuse_actors=True,
                ),
                run_config=RunConfig(
                    name=_TUNE,
                    storage_path=folder.uri if on_cluster() else own,
                    failure_config=FailureConfig(max_failures=sweep.max_retries),
                    callbacks=[_Reports(searcher, progress), Silent()],
                    verbose=0,
                ),
            ).fit()
    finally:
        folder.remove(_TUNE)


class _Searcher(LivesInDriver, Searcher):  # type: ignore[misc]
    """Between Tune and the search."""

    def __init__(
        self,
        search: Search,
        task_of: Callable[[Trial], dict[str, Any]],
        progress: SearchProgress,
        on_finished: Callable[[Finished], None],
    ) -> None:
        super().__init__()
        self._search = search
        self._task_of = task_of
        self._progress = progress
        self._on_finished = on_finished
        self.running: dict[str, Trial] = {}  # by Tune's trial

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        sweep = self._search.plan.sweep
        slots = sweep.slots if on_cluster() else sweep.num_slots
        if slots is not None and len(self.running) >= slots:
            return None
        trial = self._search.next()
        if trial is None:
            return None if self.running else Searcher.FINISHED
        self.running[trial_id] = trial
        self._search.started(trial)
        return {"task": self._task_of(trial)}

    def is_stopped(self, trial_id: str, curve: Curve) -> bool:
        """Asked by the scheduler after every evaluation."""
        return self._search.is_stopped(
            self.running[trial_id], tuple((int(seen), float(loss)) for seen, loss in curve)
        )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self.running.pop(trial_id)
        if error or result is None or "val_losses" not in result:
            self._search.lost(trial)
            return
        finished = Finished(
            trial,
            # Who has not said its last word was stopped.
            End(result.get("ended", End.STOPPED)),
            tuple((int(seen), float(loss)) for seen, loss in result["val_losses"]),
            int(result["bytes_seen"]),
            float(result["seconds"]),
            time.time(),
            result.get("weights_sha256"),
            result.get("reason"),
        )
        self._search.done(finished)
        self._on_finished(finished)
        self._progress.ended(finished)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Without this Tune wraps the searcher in a limiter.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record says what is done, Tune's own state is never restored."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a search goes on from its record")


class _Reports(LivesInDriver, Callback):  # type: ignore[misc]
    """What the display shows of running trials, and why one failed."""

    def __init__(self, searcher: _Searcher, progress: SearchProgress) -> None:
        self._searcher = searcher
        self._progress = progress
        self._trials: dict[str, Trial] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        started = self._searcher.running.get(trial.trial_id)
        if started is not None:
            self._trials[trial.trial_id] = started
            self._progress.started(started)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        mine = self._trials.get(trial.trial_id)
        if mine is not None and result.get("val_losses"):
            self._progress.reported(mine, result["val_losses"][-1])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        mine = self._trials.get(trial.trial_id)
        if mine is not None:
            self._progress.failed(mine, reason_of(trial.error_file))
