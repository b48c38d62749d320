"""The device of a task: the one that Ray assigned to this process, and not what happens to be
visible.

Ray does not hide the GPUs of a host from a process that asked for none, so a sweep for CPUs would
put a process per core on the first GPU.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import torch

from raydt.errors import RunError

# PyPI's wheel of torch 2.13 is built for CUDA 13; the drivers that each major version needs:
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/, table "CUDA Toolkit and Minimum
# Required Driver Version for CUDA Minor Version Compatibility".
_LEAST_DRIVER = {"11": "450", "12": "525", "13": "580"}


def assigned_device(gpus: float) -> torch.device:
    """`cpu` for a task without GPUs, else the GPU that Ray assigned to this process, by its index
    among those that the process sees.

    Raises `RunError` if torch cannot use a GPU here: the task would take a hundred times as long
    on the CPU, and nobody would know why.
    """
    if gpus == 0:
        return torch.device("cpu")
    import ray  # not above: a launch asks for `why_no_cuda` before Ray may be imported

    if (reason := why_no_cuda()) is not None:
        raise RunError(f"GPU on {platform.node()}: {reason}")
    assigned = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return torch.device("cuda", index_of(assigned, os.environ.get("CUDA_VISIBLE_DEVICES")))


def index_of(assigned: Sequence[str], visible: str | None) -> int:
    """The index, for torch, of the first GPU that is assigned; `visible` is
    CUDA_VISIBLE_DEVICES, in which the workers of a group on one node see each other's GPUs too."""
    if not assigned:
        raise RunError(f"GPU on {platform.node()}: expected one from Ray, got none")
    seen = None if visible is None else [name.strip() for name in visible.split(",")]
    if seen is None:  # RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES: ids are indices
        return int(assigned[0])
    if assigned[0] not in seen:
        raise RunError(
            f"GPU on {platform.node()}: expected {assigned[0]}, as Ray assigned it, among "
            f"CUDA_VISIBLE_DEVICES, got {visible!r}"
        )
    return seen.index(assigned[0])


def why_no_cuda() -> str | None:
    """What to do where torch cannot use a GPU of this machine; None if it can."""
    return None if torch.cuda.is_available() else remedy(torch.version.cuda)


def remedy(built_for: str | None) -> str:
    """What to do where torch, `built_for` a version of CUDA or for none, finds no GPU."""
    wanted = f"expected one that torch {torch.__version__} can use, got none; "
    install = "install the wheel for your driver (https://pytorch.org/get-started/locally)"
    if built_for is None:
        return f"{wanted}this torch is built without CUDA: {install}"
    least = _LEAST_DRIVER.get(built_for.split(".")[0])
    driver = f"NVIDIA's driver {least} or newer" if least else "a driver for that version"
    return (
        f"{wanted}it is built for CUDA {built_for} and needs {driver} (nvidia-smi shows yours): "
        f"update the driver, or {install}"
    )
