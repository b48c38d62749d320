"""Set up a process before a task, and clean up after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from raydt.orchestration.cluster.runtime import set_worker_environment
from raydt.orchestration.run.device import assigned_device
from raydt.orchestration.run.task import Processes
from raydt.training.process import release_memory, set_up_process


@contextmanager
def process_of_task(processes: Processes) -> Iterator[torch.device]:
    """Set up this process for a task, independently of its driver, and yield the task's device.
    Afterwards free cached GPU memory."""
    set_worker_environment()
    device = assigned_device(processes.gpus)
    set_up_process(processes.cpus, device, min(1.0, processes.gpus))
    try:
        yield device
    finally:
        release_memory(device)
