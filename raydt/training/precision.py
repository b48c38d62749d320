"""Which number type forward and backward compute in; weights and optimiser stay float32."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def is_bfloat16(precision: Precision, device: torch.device) -> bool:
    """`auto` is bfloat16 on a GPU and float32 on a CPU.

    On a CPU with AVX512-BF16 and without AMX, steps in bfloat16 ran at 1.13 times the rate of
    float32 with `nano` and 1.57 times with `micro` (benchmarks/cell_profile.py --precision: median
    of the ratios within rounds, load 13 on two cores). It is not the default there, because the
    same sweep would end with other numbers on a CPU that has no such instructions; a recipe may
    ask for it.
    """
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda")


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """A context for the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16(precision, device))
