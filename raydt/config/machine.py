"""Cores and GPUs of this machine, found without torch or Ray, whose import takes seconds."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from raydt.gpus import Gpu, gpu_of_device

_DRIVER = Path("/proc/driver/nvidia/gpus")  # one folder per GPU, made by NVIDIA's driver
_ANSWER_SECONDS = 20.0
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
    """Cores that this process may use: the least of its affinity (`taskset`, a container's cpuset),
    the quota of its cgroup, and the cores of its scheduler's job, which may not be enforced."""
    found = [len(os.sched_getaffinity(0))]
    quota = _cgroup_quota()
    if quota is not None:
        found.append(int(quota))
    for job, cores in _SCHEDULER_CORES.items():
        given = os.environ.get(cores, "")
        if os.environ.get(job) and given.isdecimal():
            found.append(int(given))
    return max(1, min(found))


def num_gpus() -> int:
    """GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _num_installed()
    named = [name.strip() for name in visible.split(",")]
    # Like CUDA, ignore what follows a -1.
    named = named[: named.index("-1")] if "-1" in named else named
    return min(len([name for name in named if name]), _num_installed())


def gpu_here() -> Gpu | None:
    """The type of this machine's GPUs; None if it has none, unknown ones, or several types."""
    if num_gpus() == 0 or not _DRIVER.is_dir():
        return None
    models = {_model_of(folder / "information") for folder in _DRIVER.iterdir()}
    return gpu_of_device(models.pop()) if len(models) == 1 else None


def gpu_places(num_gpus: float, gpus_per_cell: float) -> int:
    """Cells that fit on `num_gpus` at once. A cell with 0.3 of a GPU stays on one GPU, so three fit
    on one, and nine (not ten) on three."""
    if gpus_per_cell >= 1:
        return int(num_gpus // gpus_per_cell)
    # The tolerance makes 0.3333334 fit three times.
    return int(num_gpus) * int(1 / gpus_per_cell + 1e-6)


def mps_is_on() -> bool:
    """Whether NVIDIA's MPS runs here, with which processes share a GPU at the same time."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or "/tmp/nvidia-mps"
    return (Path(folder) / "control").exists()


def _cgroup_quota() -> float | None:
    """The least CPU quota, in cores, of this process's cgroup and its parents; None without a
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
    """The quota of one cgroup, of version 2 or 1."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None  # "max", or no such file


@functools.cache
def _num_installed() -> int:
    if _DRIVER.is_dir():
        return sum(1 for _ in _DRIVER.iterdir())
    found = shutil.which("nvidia-smi")  # for WSL, which has no such driver folder
    if found is None:
        return 0
    try:
        listed = subprocess.run(
            [found, "-L"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _model_of(information: Path) -> str:
    try:
        lines = information.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2] for line in lines if line.startswith("Model:")), "")
