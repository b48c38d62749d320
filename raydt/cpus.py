"""How many CPUs this process may use: the one place that knows. Of the standard library alone."""

from __future__ import annotations

import os
from pathlib import Path

# By the variable that says that a process is of a job, the one with the job's cores on a node:
# of SLURM, PBS, LSF and Grid Engine.
_GIVEN = {
    "SLURM_JOB_ID": "SLURM_CPUS_PER_TASK",
    "PBS_JOBID": "NCPUS",
    "LSB_JOBID": "LSB_DJOB_NUMPROC",
    "JOB_ID": "NSLOTS",
}
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_OF_PROCESS = Path("/proc/self/cgroup")


def num_cpus() -> int:
    """Cores that this process may use: its affinity (`taskset`, a container's cpuset) or, where the
    system has none (macOS), all of the machine; at most the quota of its cgroup, and what a
    scheduler gave its job where nothing enforces it. At least 1."""
    found = [_num_affine()]
    quota = _cgroup_quota()
    if quota is not None:
        found.append(int(quota))
    for job, cores in _GIVEN.items():
        given = os.environ.get(cores, "")
        if os.environ.get(job) and given.isdecimal():
            found.append(int(given))
    return max(1, min(found))


def _num_affine() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota() -> float | None:
    """Cores' worth of time that the cgroup of this process may use, or one above it; None where
    there is no limit."""
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
        # In a container its own cgroup is mounted as the root.
        for each in (folder, *folder.parents):
            quotas.append(_quota_in(each))
            if each == root:
                break
    found = [quota for quota in quotas if quota is not None]
    return min(found, default=None)


def _quota_in(cgroup: Path) -> float | None:
    """Of one cgroup, of version 2 or 1."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None  # "max", or none of these
