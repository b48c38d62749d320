"""How fast matrix products are on this device: what an MFU is a share of."""

from __future__ import annotations

import functools
import time

import torch

_SIDE = 8192
_ROUNDS, _PRODUCTS = 5, 8


@functools.cache
def peak_flops_per_second(device: torch.device, bfloat16: bool) -> float | None:
    """FLOP/s of large matrix products on a GPU, measured once per process; None on a CPU.

    A measured rate and not the data sheet's, which depends on clocks and power that a rented
    machine need not have. A CPU has no such number worth a demo cell's time: its products are
    small, and its cores are shared.
    """
    if device.type != "cuda":
        return None
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    a = torch.randn(_SIDE, _SIDE, device=device, dtype=dtype)
    b = torch.randn(_SIDE, _SIDE, device=device, dtype=dtype)
    best_seconds = float("inf")
    for _ in range(_ROUNDS):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(_PRODUCTS):
            a @ b
        torch.cuda.synchronize(device)
        best_seconds = min(best_seconds, time.perf_counter() - start)
    return _PRODUCTS * 2 * _SIDE**3 / best_seconds
