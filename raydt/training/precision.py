"""The dtype of the forward and backward pass; weights and optimiser are always float32."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def is_bfloat16(precision: Precision, device: torch.device) -> bool:
    """`auto` is bfloat16 on devices that support it: GPUs, and CPUs with AVX512-BF16 or AMX.

    There a step is 1.1 to 2 times as fast, and losses differ by less than between two seeds
    (docs/model.md, "Precision"). So the last digits of a loss depend on the type of CPU. The
    precision is part of the outcome, and a recipe with float32 gets it everywhere.
    """
    if precision == "auto":
        return device.type == "cuda" or (device.type == "cpu" and cpu_multiplies_bfloat16())
    return precision == "bfloat16"


@functools.cache
def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has bfloat16 instructions; without them it is emulated, and slow."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The autocast context of the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16(precision, device))
