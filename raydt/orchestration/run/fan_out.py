"""The Tune experiment of a launch: what its policy wants, several at once."""

from __future__ import annotations

import logging
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner

from raydt.orchestration.cluster.ray_private import patient_scheduler, silent
from raydt.orchestration.cluster.runtime import on_cluster
from raydt.orchestration.run.events import Events, PolicyStopper
from raydt.orchestration.run.policy import Policy
from raydt.orchestration.run.room import trial_resources
from raydt.orchestration.run.searcher import PolicySearcher
from raydt.orchestration.run.task import ReportT, TaskT, processes_of
from raydt.storage.folder import Folder

_TUNE = "tune"


def fan_out(policy: Policy[TaskT, ReportT], folder: Folder, max_retries: int) -> None:
    """Run the tasks of a policy; returns when it has nothing more. A task whose process was lost is
    tried `max_retries` times again. In `folder` Tune keeps what is its own, until this is over."""
    searcher = PolicySearcher(policy)
    # What goes wrong in a trial is reported by its policy.
    for noisy in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # Tune's own state is never restored, so it lives only as long as the launch; and not on the
    # sweep's disk where it need not, because Tune does not survive that this disk is full.
    folder.remove(_TUNE)
    try:
        with TemporaryDirectory(prefix="raydt-") as own:
            Tuner(
                tune.with_resources(policy.trainable, _resources),
                tune_config=TuneConfig(
                    search_alg=searcher,
                    scheduler=patient_scheduler(),
                    # The policy ends the experiment itself.
                    num_samples=policy.max_tasks,
                    max_concurrent_trials=None,
                    reuse_actors=True,
                ),
                run_config=RunConfig(
                    name=_TUNE,
                    storage_path=folder.uri if on_cluster() else own,
                    failure_config=FailureConfig(max_failures=max_retries),
                    stop=PolicyStopper(policy, searcher),
                    callbacks=[Events(policy, searcher), silent()],
                    verbose=0,
                ),
            ).fit()
    finally:
        folder.remove(_TUNE)


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([trial_resources(processes_of(config))])
