"""Model FLOPs' utilisation of whole steps: forward, backward, optimiser and average."""

from __future__ import annotations

import time

import torch

from benchmarks.gpu.timing import TimedCell, seconds_of, wait
from raydt.config.compiling import What
from raydt.config.model import MODELS
from raydt.training.process import determinism

WAYS: dict[str, tuple[What, bool]] = {
    "eager": ("off", False),
    "blocks compiled": ("blocks", False),
    "blocks compiled, deterministic": ("blocks", True),
    "model compiled": ("model", False),
}


def utilisation(
    name: str, way: str, device: torch.device, batch_windows: int, peaks: dict[str, float | None]
) -> dict[str, object]:
    """The rate of steps of `batch_windows` and, of each of `peaks` in FLOP/s, the share reached.

    FLOPs are those of the closed form, attention over the whole window.
    """
    compile, deterministic = WAYS[way]
    with determinism(device, deterministic):
        cell = TimedCell(name, device, batch_windows, compile=compile)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        cell.step()
        wait(device)
        first_seconds = time.perf_counter() - start
        step_seconds = seconds_of(cell.step, device, 3)
    bytes_per_second = cell.step_bytes / step_seconds
    flops_per_second = bytes_per_second * MODELS[name].training_flops_per_byte
    return {
        "model": name,
        "way": way,
        "batch_windows": batch_windows,
        "windows_at_once": cell.gradients.windows_at_once or batch_windows,
        "bytes_per_second": bytes_per_second,
        **{f"mfu_{of}": peak and flops_per_second / peak for of, peak in peaks.items()},
        "compile_seconds": first_seconds - step_seconds if compile != "off" else 0.0,
        "peak_memory_bytes": (
            torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        ),
    }
