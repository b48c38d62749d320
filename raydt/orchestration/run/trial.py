"""One cell in a Tune trial: Ray Train runs the loop in the trial's own process, or in a group of
workers.

With `num_workers=0` Ray Train runs the loop in the trial's own process, which costs milliseconds
where a worker group costs twenty seconds; with reused trial actors a small cell costs its training
and little else. Large cells get a group, which trains them together (DDP).
"""

from __future__ import annotations

from typing import Any

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from raydt.orchestration.cluster.runtime import set_worker_environment
from raydt.orchestration.run.room import process_resources
from raydt.orchestration.run.task import CellTask, received
from raydt.orchestration.run.worker import run_cell
from raydt.storage.opening import open_folder


def run_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config` is of a trial whose task is a `CellTask`."""
    set_worker_environment()
    task = received(config, CellTask)
    processes = task.processes
    if processes.num_workers == 0:
        scaling = ScalingConfig(num_workers=0)
        TorchTrainer(run_cell, train_loop_config=config, scaling_config=scaling).fit()
        return
    scaling = ScalingConfig(
        num_workers=processes.num_workers,
        use_gpu=processes.gpus > 0,
        resources_per_worker=process_resources(processes),
    )
    sweep = open_folder(task.sweep)
    run = RunConfig(
        name=task.fingerprint[:16],
        # Train's own state; ours is in the cell's folder.
        storage_path=(sweep / "tune" / "train").uri,
        failure_config=FailureConfig(max_failures=task.max_retries),
    )
    TorchTrainer(run_cell, train_loop_config=config, scaling_config=scaling, run_config=run).fit()
