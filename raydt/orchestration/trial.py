"""One cell in a Tune trial: Ray Train runs the loop in the trial's own process, or in a group of
workers.

With `num_workers=0` Ray Train runs the loop in the trial's own process, which costs milliseconds
where a worker group costs twenty seconds; with reused trial actors a small cell costs its training
and little else. Large cells get a group, which trains them together (DDP).
"""

from __future__ import annotations

from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from raydt.orchestration.runtime import TRIAL_RESOURCE
from raydt.orchestration.worker import run_cell
from raydt.storage.opening import open_folder

# The trial of a worker group only waits for it. A core that it held, or a hundredth of one, would
# be a core that its workers lack; so it holds a `TRIAL_RESOURCE`, which a Ray of our own and the
# head of cluster.yaml have in plenty.
_GROUP_DRIVER_CPUS = 0.01  # on another cluster


def run_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config["task"]` is a task as `build_tasks` makes it."""
    task = config["task"]
    if task["num_workers"] == 0:
        scaling = ScalingConfig(num_workers=0)
        TorchTrainer(run_cell, train_loop_config=task, scaling_config=scaling).fit()
        return
    scaling = ScalingConfig(
        num_workers=task["num_workers"],
        use_gpu=task["gpus"] > 0,
        resources_per_worker=worker_resources(task),
    )
    sweep = open_folder(task["sweep"])
    run = RunConfig(
        name=task["fingerprint"][:16],
        # Train's own state; ours is in the cell's folder.
        storage_path=(sweep / "tune" / "train").uri,
        failure_config=FailureConfig(max_failures=task["max_retries"]),
    )
    TorchTrainer(run_cell, train_loop_config=task, scaling_config=scaling, run_config=run).fit()


def worker_resources(task: dict[str, Any]) -> dict[str, float]:
    """What one process that trains needs."""
    resources = {"CPU": float(task["cpus"]), "GPU": float(task["gpus"])}
    return {name: amount for name, amount in resources.items() if amount}


def trial_resources(task: dict[str, Any]) -> dict[str, float]:
    """What the trial itself holds."""
    if task["num_workers"] == 0:
        return worker_resources(task)
    if TRIAL_RESOURCE in ray.cluster_resources():
        return {"CPU": 0.0, TRIAL_RESOURCE: 1.0}
    return {"CPU": _GROUP_DRIVER_CPUS}
