"""How many tasks a launch runs at the same time, in addition to Ray's own resource limits."""

from __future__ import annotations

from collections.abc import Sequence

import ray

from raydt.config.machine import gpu_places
from raydt.config.sweep import Sweep
from raydt.orchestration.cluster.runtime import TRIAL_RESOURCE, on_cluster
from raydt.orchestration.run.task import Processes

# Worker groups that may wait for their workers, so that an autoscaler sees the demand.
_GROUPS_IN_WAITING = 4
# The trial of a worker group only waits for the group. If it held a core, or a part of one, its
# workers would lack that core. So it holds a `TRIAL_RESOURCE`, of which a local Ray and the head of
# cluster.yaml have plenty.
_GROUP_DRIVER_CPUS = 0.01  # on another cluster


def single_process(sweep: Sweep) -> Processes:
    """The processes of a task that is trained in its trial's own process."""
    return Processes(num_workers=0, cpus=sweep.cpus_per_cell, gpus=sweep.gpus_per_cell)


def has_room(sweep: Sweep, wanted: Processes, running: Sequence[Processes]) -> bool:
    """Whether another task may start; the first always may.

    Tasks in their trial's own process hold their resources, so Ray makes them wait. The trial of a
    worker group starts and waits for its workers: a few of these are enough for an autoscaler.
    """
    if not running:
        return True
    if sweep.slots is not None and on_cluster():
        taken = sum(max(1, other.num_workers) for other in [*running, wanted])
        return taken <= sweep.slots
    if wanted.num_workers == 0:
        # On one machine no task waits in Tune, because a longer one may become ready later.
        alone = sum(other.num_workers == 0 for other in running)
        return on_cluster() or alone < _most_alone(sweep)
    in_groups = sum(other.num_workers for other in running)
    in_waiting = max(0.0, in_groups - _places(wanted))
    return in_waiting < _GROUPS_IN_WAITING * wanted.num_workers


def tasks_at_once(sweep: Sweep) -> int:
    """How many tasks a launch can run at the same time, at least one: on a cluster, by its present
    resources, which may grow."""
    if not on_cluster():
        return _most_alone(sweep)
    places = _places(single_process(sweep))
    return max(1, places if sweep.slots is None else min(places, sweep.slots))


def process_resources(processes: Processes) -> dict[str, float]:
    """Resources of one process that trains."""
    resources = {"CPU": float(processes.cpus), "GPU": float(processes.gpus)}
    return {name: amount for name, amount in resources.items() if amount}


def trial_resources(processes: Processes) -> dict[str, float]:
    """Resources of the trial itself."""
    if processes.num_workers == 0:
        return process_resources(processes)
    if TRIAL_RESOURCE in ray.cluster_resources():
        return {"CPU": 0.0, TRIAL_RESOURCE: 1.0}
    return {"CPU": _GROUP_DRIVER_CPUS}


def _places(processes: Processes) -> int:
    """How many processes that train fit into Ray's present resources."""
    there = ray.cluster_resources()
    places = int(there.get("CPU", 0.0) / processes.cpus)
    if processes.gpus:
        places = min(places, gpu_places(there.get("GPU", 0.0), processes.gpus))
    return places


def _most_alone(sweep: Sweep) -> int:
    """Cells at the same time on this machine: `slots`, but at most what its GPUs hold."""
    if sweep.gpus_per_cell == 0:
        return sweep.num_slots
    return max(1, min(sweep.num_slots, _places(single_process(sweep))))
