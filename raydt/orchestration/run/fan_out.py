"""The Tune experiment of a launch: runs the tasks of a policy in parallel."""

from __future__ import annotations

import logging
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from raydt.orchestration.cluster.failures import RayNodes
from raydt.orchestration.cluster.launch_folder import launch_folder
from raydt.orchestration.cluster.ray_private import (
    disable_credential_forwarding,
    disable_metric_averages,
    no_progress_reporter,
    patient_scheduler,
)
from raydt.orchestration.cluster.runtime import on_cluster
from raydt.orchestration.run.events import Events, PolicyStopper
from raydt.orchestration.run.policy import Policy
from raydt.orchestration.run.room import trial_resources
from raydt.orchestration.run.searcher import PolicySearcher
from raydt.orchestration.run.task import ReportT, TaskT, label_selector_of, processes_of
from raydt.orchestration.run.tries import Tries
from raydt.storage.folder import Folder

_TUNE = "tune"


def fan_out(policy: Policy[TaskT, ReportT], folder: Folder, max_retries: int) -> None:
    """Run the tasks of a policy until it has no more. A task that fails by its own fault is retried
    `max_retries` times, one that was lost with its machine without limit: see `tries`. Tune keeps
    its files in `folder` meanwhile."""
    tries = Tries(policy, RayNodes(), max_retries)
    searcher = PolicySearcher(policy, tries)
    disable_credential_forwarding()
    disable_metric_averages()
    # Errors of trials are reported by the policy.
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # Tune's own state is never restored, so it is temporary; and not on the sweep's disk if
    # possible, because Tune does not survive a full disk.
    folder.remove(_TUNE)
    try:
        with launch_folder() as own:
            Tuner(
                tune.with_resources(policy.trainable, _resources),
                tune_config=TuneConfig(
                    search_alg=searcher,
                    scheduler=patient_scheduler(tries.is_stranded),
                    num_samples=-1,  # the policy ends the experiment itself
                    max_concurrent_trials=None,
                    reuse_actors=True,
                ),
                run_config=RunConfig(
                    name=_TUNE,
                    storage_path=folder.uri if on_cluster() else str(own),
                    failure_config=FailureConfig(max_failures=0),
                    stop=PolicyStopper(policy, tries),
                    callbacks=[Events(policy, tries), no_progress_reporter()],
                    verbose=0,
                ),
            ).fit()
    finally:
        folder.remove(_TUNE)


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    processes = processes_of(config)
    labels = label_selector_of(config) if processes.num_workers == 0 else {}
    where = {"bundle_label_selector": [labels]} if labels else {}
    return tune.PlacementGroupFactory([trial_resources(processes)], **where)
