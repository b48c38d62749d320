"""What a process does before it trains its first task, and what between two tasks."""

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
    """The device of a task, for the time of the block; this process is set up for it, whatever its
    driver has set up, and afterwards leaves no memory of a GPU to itself."""
    set_worker_environment()
    device = assigned_device(processes.gpus)
    set_up_process(processes.cpus, device, min(1.0, processes.gpus))
    try:
        yield device
    finally:
        release_memory(device)
