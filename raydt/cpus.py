"""The number of CPU cores that this process may use. Needs only the standard library."""

from __future__ import annotations

import os
from pathlib import Path

# For SLURM, PBS, LSF and Grid Engine: the variable that is set inside a job, and the one with the
# job's cores on a node.
_SCHEDULER_CORES = {
    "SLURM_JOB_ID": "SLURM_CPUS_PER_TASK",
    "PBS_JOBID": "NCPUS",
    "LSB_JOBID": "LSB_DJOB_NUMPROC",
    "JOB_ID": "NSLOTS",
}
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_OF_PROCESS = Path("/proc/self/cgroup")


def num_cpus() -> int:
    """Number of cores that this process may use, at least 1: those of its affinity (`taskset`, a
    container's cpuset) or, without affinities (macOS), all; limited by the CPU quota of its cgroup
    and by the cores of its batch job, which the scheduler may not enforce."""
    found = [_num_affine()]
    quota = _cgroup_quota()
    if quota is not None:
        found.append(int(quota))
    for job, cores in _SCHEDULER_CORES.items():
        given = os.environ.get(cores, "")
        if os.environ.get(job) and given.isdecimal():
            found.append(int(given))
    return max(1, min(found))


def _num_affine() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota() -> float | None:
    """The smallest CPU quota, in cores, of this process's cgroup and its parents; None without a
    limit."""
    try:
        lines = _CGROUP_OF_PROCESS.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        root = _CGROUPS if not controllers else _CGROUPS / "cpu"
        folder = root / place.lstrip("/")
        # In a container, its own cgroup is mounted as the root.
        for each in (folder, *folder.parents):
            quotas.append(_quota_in(each))
            if each == root:
                break
    found = [quota for quota in quotas if quota is not None]
    return min(found, default=None)


def _quota_in(cgroup: Path) -> float | None:
    """The quota of one cgroup (version 2 or 1), in cores; None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None  # "max", or no such file
