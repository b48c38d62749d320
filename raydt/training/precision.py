"""Which number type forward and backward compute in; weights and optimiser stay float32."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def is_bfloat16(precision: Precision, device: torch.device) -> bool:
    """`auto` is bfloat16 on a GPU and float32 on a CPU.

    Measured on a Zen 4 core (AVX512-BF16, no AMX): see benchmarks/cell_profile.py.
    """
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda")


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """A context for the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16(precision, device))
