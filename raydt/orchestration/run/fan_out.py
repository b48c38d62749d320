"""The Tune experiment of a launch: what its policy wants, several at once."""

from __future__ import annotations

import logging
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from raydt.orchestration.cluster.losses import RayNodes
from raydt.orchestration.cluster.own_folder import own_folder
from raydt.orchestration.cluster.ray_private import (
    keep_credentials_here,
    keep_no_averages,
    patient_scheduler,
    silent,
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
    """Run the tasks of a policy; returns when it has nothing more. What a task does wrong itself is
    tried `max_retries` times again, and what was lost with a machine without limit: see `tries`. In
    `folder` Tune keeps what is its own, until this is over."""
    tries = Tries(policy, RayNodes(), max_retries)
    searcher = PolicySearcher(policy, tries)
    keep_credentials_here()
    keep_no_averages()
    # What goes wrong in a trial is reported by its policy.
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # Tune's own state is never restored, so it lives only as long as the launch; and not on the
    # sweep's disk where it need not, because Tune does not survive that this disk is full.
    folder.remove(_TUNE)
    try:
        with own_folder() as own:
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
                    callbacks=[Events(policy, tries), silent()],
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
