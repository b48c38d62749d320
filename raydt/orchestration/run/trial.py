"""One cell in a Tune trial: Ray Train runs the loop in the trial's own process, or in a group of
workers.

With `num_workers=0` it runs in the trial's own process, which costs milliseconds instead of the
twenty seconds of a worker group; since trial actors are reused, a small cell has almost no
overhead. Large cells get a group, which trains them together (DDP).
"""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError
from ray.train import (
    ControllerError,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    WorkerGroupError,
)
from ray.train.torch import TorchTrainer

from raydt.orchestration.cluster.failures import GroupError, group_failure
from raydt.orchestration.cluster.runtime import set_worker_environment
from raydt.orchestration.run.room import process_resources
from raydt.orchestration.run.task import CellTask, label_selector_of, received
from raydt.orchestration.run.worker import run_cell
from raydt.storage.opening import open_folder


def run_trial(config: dict[str, Any]) -> None:
    """The Tune trainable: `config` is that of a trial with a `CellTask`."""
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
        label_selector=label_selector_of(config) or None,
    )
    sweep = open_folder(task.sweep)
    run = RunConfig(
        name=task.fingerprint[:16],
        # For Train's own state; ours is in the cell's folder.
        storage_path=(sweep / "tune" / "train").uri,
        # The driver decides on retries: see `raydt.orchestration.run.tries`. If a group cannot
        # start because a machine is missing, Train itself retries without limit.
        failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
    )
    group = TorchTrainer(run_cell, train_loop_config=config, scaling_config=scaling, run_config=run)
    try:
        group.fit()
    except (TrainingFailedError, RayActorError) as error:
        raise GroupError(group_failure(_errors_of(error))) from error


def _errors_of(error: BaseException) -> list[BaseException]:
    """The errors of a group's processes, from Train's error for the whole group."""
    if isinstance(error, WorkerGroupError):
        return [_seen(each) for each in error.worker_failures.values()]
    if isinstance(error, ControllerError):
        return [error.controller_failure]
    return [error]


def _seen(error: BaseException) -> BaseException:
    """The reason why a worker did not answer, if Train reports that it did not."""
    failure = getattr(error, "health_check_failure", None)  # private to Train
    return failure if isinstance(failure, BaseException) else error
