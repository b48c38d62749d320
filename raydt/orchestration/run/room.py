"""How many tasks a launch runs at once, besides what Ray's own resources decide."""

from __future__ import annotations

from collections.abc import Sequence

import ray

from raydt.config.machine import gpu_places
from raydt.config.sweep import Sweep
from raydt.orchestration.cluster.runtime import TRIAL_RESOURCE, on_cluster
from raydt.orchestration.run.task import Processes

# Worker groups that may wait for their workers, so that an autoscaler sees what is wanted.
_GROUPS_IN_WAITING = 4
# The trial of a worker group only waits for it. A core that it held, or a hundredth of one, would
# be a core that its workers lack; so it holds a `TRIAL_RESOURCE`, which a Ray of our own and the
# head of cluster.yaml have in plenty.
_GROUP_DRIVER_CPUS = 0.01  # on another cluster


def of_one_process(sweep: Sweep) -> Processes:
    """Of a task that is trained in the process of its trial."""
    return Processes(num_workers=0, cpus=sweep.cpus_per_cell, gpus=sweep.gpus_per_cell)


def has_room(sweep: Sweep, wanted: Processes, running: Sequence[Processes]) -> bool:
    """Whether another task may start; the first always may.

    Tasks in their trial's own process hold what they need, so Ray makes them wait. A worker group
    waits with its trial begun: a few of them are enough for an autoscaler to see.
    """
    if not running:
        return True
    if sweep.slots is not None and on_cluster():
        taken = sum(max(1, other.num_workers) for other in [*running, wanted])
        return taken <= sweep.slots
    if wanted.num_workers == 0:
        # On a machine of a known size none waits in Tune: what is ready later may be longer.
        alone = sum(other.num_workers == 0 for other in running)
        return on_cluster() or alone < _most_alone(sweep)
    in_groups = sum(other.num_workers for other in running)
    in_waiting = max(0.0, in_groups - _places(wanted))
    return in_waiting < _GROUPS_IN_WAITING * wanted.num_workers


def tasks_at_once(sweep: Sweep) -> int:
    """How many tasks a launch can run at once: on a cluster by what it has now of what a task
    holds, and it may grow; at least one."""
    if not on_cluster():
        return _most_alone(sweep)
    places = _places(of_one_process(sweep))
    return max(1, places if sweep.slots is None else min(places, sweep.slots))


def process_resources(processes: Processes) -> dict[str, float]:
    """What one process that trains needs."""
    resources = {"CPU": float(processes.cpus), "GPU": float(processes.gpus)}
    return {name: amount for name, amount in resources.items() if amount}


def trial_resources(processes: Processes) -> dict[str, float]:
    """What the trial itself holds."""
    if processes.num_workers == 0:
        return process_resources(processes)
    if TRIAL_RESOURCE in ray.cluster_resources():
        return {"CPU": 0.0, TRIAL_RESOURCE: 1.0}
    return {"CPU": _GROUP_DRIVER_CPUS}


def _places(processes: Processes) -> int:
    """How many processes that train have a place in what Ray has now."""
    there = ray.cluster_resources()
    places = int(there.get("CPU", 0.0) / processes.cpus)
    if processes.gpus:
        places = min(places, gpu_places(there.get("GPU", 0.0), processes.gpus))
    return places


def _most_alone(sweep: Sweep) -> int:
    """Cells at once on this machine: whatever `slots` says, no more than its GPUs hold."""
    if sweep.gpus_per_cell == 0:
        return sweep.num_slots
    return max(1, min(sweep.num_slots, _places(of_one_process(sweep))))
