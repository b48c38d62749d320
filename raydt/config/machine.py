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
