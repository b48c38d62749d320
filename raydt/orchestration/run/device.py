"""The device of a task: the one that Ray assigned to this process, not the first visible one.

Ray does not hide the GPUs of a host from a process that requested none, so a CPU sweep would put a
process per core on the first GPU.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import torch

from raydt.errors import RunError

# Minimum drivers for each major version of CUDA (PyPI's wheel of torch 2.13 is for CUDA 13):
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/, table "CUDA Toolkit and Minimum
# Required Driver Version for CUDA Minor Version Compatibility".
_LEAST_DRIVER = {"11": "450", "12": "525", "13": "580"}


def assigned_device(gpus: float) -> torch.device:
    """`cpu` for a task without GPUs, else the GPU that Ray assigned to this process, by its index
    among the visible ones.

    Raises `RunError` if torch cannot use a GPU here, instead of training a hundred times slower on
    the CPU.
    """
    if gpus == 0:
        return torch.device("cpu")
    import ray  # here, because a launch calls `why_no_cuda` before Ray may be imported

    if (reason := why_no_cuda()) is not None:
        raise RunError(f"GPU on {platform.node()}: {reason}")
    assigned = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return torch.device("cuda", index_of(assigned, os.environ.get("CUDA_VISIBLE_DEVICES")))


def index_of(assigned: Sequence[str], visible: str | None) -> int:
    """The torch index of the first assigned GPU. `visible` is CUDA_VISIBLE_DEVICES, which includes
    the GPUs of other workers of the group on the node."""
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
    """Why torch cannot use a GPU of this machine, and what to do; None if it can."""
    return None if torch.cuda.is_available() else remedy(torch.version.cuda)


def remedy(built_for: str | None) -> str:
    """What to do if torch finds no GPU; `built_for` is its version of CUDA, or None."""
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
