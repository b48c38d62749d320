"""The peak FLOP/s of a GPU, by its data sheet and measured, which an MFU refers to."""

from __future__ import annotations

import functools
import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from raydt.gpus import gpu_of_device
from raydt.locks import locked
from raydt.training.process import has_whole_gpu

_SIDE = 8192
_ROUNDS, _PRODUCTS = 5, 8
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Peaks:
    """FLOP/s of one GPU; None if not applicable.

    `data_sheet` is for dense bfloat16 products, so that an MFU is comparable with those of others.
    `matmul` is what large products reach on this GPU, with its clocks and power limit: the gap to
    it is due to the program, not the machine.
    """

    data_sheet: float | None = None
    matmul: float | None = None


def peaks_of(device: torch.device, bfloat16: bool) -> Peaks:
    """The peaks of a device that this process does not share. None for a CPU and for a part of a
    GPU, because a measurement would include the work of other processes."""
    if not has_whole_gpu(device):
        return Peaks()
    gpu = gpu_of_device(torch.cuda.get_device_name(device))
    sheet = gpu.peak_flops_per_second if gpu is not None and bfloat16 else None
    return Peaks(sheet, peak_flops_per_second(device, bfloat16))


@functools.cache
def peak_flops_per_second(device: torch.device, bfloat16: bool) -> float | None:
    """FLOP/s of large matrix products on a GPU; None on a CPU.

    Measured once per GPU since the node was booted, by the first process that needs it; others
    wait. It is not worth a demo cell's time on a CPU, whose products are small and whose cores are
    shared.
    """
    if device.type != "cuda":
        return None
    uuid = torch.cuda.get_device_properties(device).uuid
    return _once_per_node(f"{uuid}-{'bfloat16' if bfloat16 else 'float32'}", device, bfloat16)


def _once_per_node(name: str, device: torch.device, bfloat16: bool) -> float:
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    folder = Path(tempfile.gettempdir()) / f"raydt-{os.getuid()}" / "matmul"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():  # another user may have created it in /tmp
            return _measure(device, bfloat16)
        with locked(folder / f"{name}.lock"):
            file = folder / f"{name}.json"
            with suppress(OSError, ValueError, KeyError, TypeError):  # missing or incomplete
                found = json.loads(file.read_text())
                if found["boot"] == boot:
                    return float(found["flops_per_second"])
            measured = _measure(device, bfloat16)
            file.write_text(json.dumps({"boot": boot, "flops_per_second": measured}))
            return measured
    except OSError:  # no place for the file: every process measures
        return _measure(device, bfloat16)


def _measure(device: torch.device, bfloat16: bool) -> float:
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
