"""The Tune experiment of a launch: all missing cells, several at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.journal import is_cancelled
from raydt.grid.ledger import cell_folder
from raydt.grid.schedule import Schedule
from raydt.orchestration.cluster.runtime import on_cluster
from raydt.orchestration.grid.commit import commit
from raydt.orchestration.run.events import Events, Silent
from raydt.orchestration.run.recorder import Recorder
from raydt.orchestration.run.scheduler import PatientScheduler
from raydt.orchestration.run.searcher import GridSearcher
from raydt.orchestration.run.task import with_parent
from raydt.orchestration.run.trial import run_trial, trial_resources, worker_resources
from raydt.storage.folder import Folder
from raydt.terminal.progress import Progress

_TUNE = "tune"
# Worker groups that may wait for their workers, so that an autoscaler sees what is wanted.
_GROUPS_IN_WAITING = 4


def fan_out(
    sweep: Sweep,
    missing: list[Cell],
    tasks: Mapping[str, dict[str, Any]],
    seconds: Mapping[str, float],
    progress: Progress,
    recorder: Recorder,
) -> None:
    """Run the missing cells; returns when none is left that can run."""

    def folder(cell_id: str) -> Folder:
        return cell_folder(sweep, cell_id)

    def result_of(cell_id: str) -> Mapping[str, Any] | None:
        # Tune tells its searcher of a trial's end before its callbacks.
        return commit(folder(cell_id), tasks[cell_id]["fingerprint"])

    def task_of(cell_id: str) -> dict[str, Any] | None:
        if is_cancelled(folder(cell_id)):
            progress.say(f"{cell_id}: cancelled", style="yellow")
            return None
        parent_id = tasks[cell_id]["parent_id"]
        parent = None if parent_id is None else result_of(parent_id)
        return with_parent(tasks[cell_id], sweep, {} if parent is None else {parent_id: parent})

    searcher = GridSearcher(
        Schedule(missing, seconds), task_of, result_of, progress.blocked,
        lambda task, running: _has_room(sweep, task, running),
    )  # fmt: skip
    # What goes wrong in a cell is told by its result and its journal.
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # Tune's own state is never restored, so it lives only as long as the launch; and not on the
    # sweep's disk where it need not, because Tune does not survive that this disk is full.
    sweep.folder.remove(_TUNE)
    try:
        with (
            TemporaryDirectory(prefix="raydt-") as own,
            Events(sweep, tasks, progress, recorder) as events,
        ):
            Tuner(
                tune.with_resources(run_trial, lambda config: _resources(config["task"])),
                tune_config=TuneConfig(
                    search_alg=searcher,
                    scheduler=PatientScheduler(),
                    # One sample is one cell; the searcher ends the experiment itself.
                    num_samples=len(missing),
                    max_concurrent_trials=None,
                    reuse_actors=True,
                ),
                run_config=RunConfig(
                    name=_TUNE,
                    storage_path=sweep.folder.uri if on_cluster() else own,
                    failure_config=FailureConfig(max_failures=sweep.max_retries),
                    callbacks=[events, Silent()],
                    verbose=0,
                ),
            ).fit()
    finally:
        sweep.folder.remove(_TUNE)


def cells_at_once(sweep: Sweep) -> int:
    """How many cells a launch can run at once: on a cluster by what it has now of what a cell
    holds, and it may grow; at least one."""
    if not on_cluster():
        return sweep.num_slots
    held = worker_resources({"cpus": sweep.cpus_per_cell, "gpus": sweep.gpus_per_cell})
    resources = ray.cluster_resources()
    places = min(int(resources.get(name, 0.0) / amount) for name, amount in held.items())
    return max(1, places if sweep.slots is None else min(places, sweep.slots))


def _resources(task: dict[str, Any]) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([trial_resources(task)])


def _has_room(sweep: Sweep, task: dict[str, Any], running: list[dict[str, Any]]) -> bool:
    """Whether another cell may start, besides what Ray's own resources decide.

    Cells in their trial's own process hold what they need, so Ray makes them wait. A worker group
    waits with its trial begun: a few of them are enough for an autoscaler to see.
    """
    if sweep.slots is not None and on_cluster():
        taken = sum(max(1, int(other["num_workers"])) for other in [*running, task])
        return taken <= sweep.slots
    if task["num_workers"] == 0:
        # On a machine of a known size none waits in Tune: what is ready later may be longer.
        alone = sum(other["num_workers"] == 0 for other in running)
        return on_cluster() or alone < sweep.num_slots
    groups = [other for other in running if other["num_workers"]]
    wanted = sum(other["num_workers"] for other in groups)
    resources = ray.cluster_resources()
    places = min(resources.get(name, 0.0) // amount
                 for name, amount in worker_resources(task).items())  # fmt: skip
    in_waiting = max(0.0, wanted - places)
    return bool(in_waiting < _GROUPS_IN_WAITING * task["num_workers"])
