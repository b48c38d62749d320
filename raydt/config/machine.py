"""What this machine has for cells, asked without torch or Ray, whose import takes seconds."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from raydt.gpus import Gpu, gpu_of_device

_DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder per GPU, made by NVIDIA's driver
_ANSWER_SECONDS = 20.0
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
    """Cores that this process may use: its affinity (`taskset`, a container's cpuset), the quota of
    its cgroup, and what a scheduler gave its job where nothing enforces it."""
    found = [len(os.sched_getaffinity(0))]
    quota = _cgroup_quota()
    if quota is not None:
        found.append(int(quota))
    for job, cores in _GIVEN.items():
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
    # As CUDA reads it: what stands behind a -1 does not count.
    named = named[: named.index("-1")] if "-1" in named else named
    return min(len([name for name in named if name]), _num_installed())


def gpu_here() -> Gpu | None:
    """The type of this machine's GPUs, if it has some that are known, all alike."""
    if num_gpus() == 0 or not _DRIVER.is_dir():
        return None
    models = {_model_of(folder / "information") for folder in _DRIVER.iterdir()}
    return gpu_of_device(models.pop()) if len(models) == 1 else None


def gpu_places(num_gpus: float, gpus_per_cell: float) -> int:
    """Cells that fit on `num_gpus` at once: one of 0.3 of a GPU lies on a single GPU, so that three
    fit on one and not ten on three."""
    if gpus_per_cell >= 1:
        return int(num_gpus // gpus_per_cell)
    # A little more than a third, as it is written, fits three times all the same.
    return int(num_gpus) * int(1 / gpus_per_cell + 1e-6)


def mps_is_on() -> bool:
    """Whether NVIDIA's MPS is started here, by which processes on one GPU run at once."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or "/tmp/nvidia-mps"
    return (Path(folder) / "control").exists()


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


@functools.cache
def _num_installed() -> int:
    if _DRIVER.is_dir():
        return sum(1 for _ in _DRIVER.iterdir())
    found = shutil.which("nvidia-smi")  # where the driver is another's: WSL
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
