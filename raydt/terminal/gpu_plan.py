"""Slots, training speed, price and disk space in the plan of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raydt.config.machine import gpu_places
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.cost import assumed_flops_per_second, dollars_per_gpu_hour, planned_gpu
from raydt.grid.disk import disk
from raydt.terminal.amounts import short
from raydt.units import approximate_bytes


def planned_slots(sweep: Sweep, gpus_of_cluster: int | None) -> tuple[int, str]:
    """Number of cells at the same time, and where: `--slots`, or what fits on the GPUs of the
    planned cluster, or on this machine."""
    if sweep.slots is not None:
        return sweep.slots, ""
    if gpus_of_cluster is not None and sweep.gpus_per_cell:
        places = max(1, gpu_places(gpus_of_cluster, sweep.gpus_per_cell))
        return places, f" on {gpus_of_cluster} {planned_gpu(sweep).name}"
    return sweep.num_slots, " on this machine"


def _of_gpu(sweep: Sweep, gpu_hours: float) -> str:
    """The GPU and, if known, the price: text that follows the number of GPU-hours."""
    price, gpu = dollars_per_gpu_hour(sweep), planned_gpu(sweep).name
    if price is None:
        return f" of {gpu}"
    return f" of {gpu} (${gpu_hours * price:,.0f} at ${price:.2f})"


def time_basis(sweep: Sweep, rates: Mapping[str, float]) -> str:
    """A sentence on the training speed behind the planned time: measured or assumed, with MFU."""
    gpu = planned_gpu(sweep)
    sheet = f"the {gpu.peak_flops_per_second / 1e12:.0f} TFLOP/s of {gpu.name}'s data sheet"
    if rates:
        measured = ", ".join(
            f"{model} {rate / 1e9:.0f}{_mfu_reached(sweep, rate)}" for model, rate in rates.items()
        )
        speed = f"measured on cells of this sweep (GFLOP/s per slot: {measured})"
    else:
        speed = f"assumed {assumed_flops_per_second(sweep) / 1e9:.0f} GFLOP/s per slot"
    if sweep.gpus_per_cell:
        assumed = "" if rates else f", an MFU of {gpu.assumed_mfu:.0%} of {sheet}"
        return f"Time: {speed}{assumed}."
    return f"Time: {speed}. GPU-h: {gpu.name} at {gpu.assumed_mfu:.0%} of {sheet}."


def _mfu_reached(sweep: Sweep, flops_per_second: float) -> str:
    """Text with the MFU; empty for a fraction of a GPU, as other cells use the rest."""
    if sweep.gpus_per_cell < 1:
        return ""
    gpu = planned_gpu(sweep)
    return f", MFU {flops_per_second / gpu.peak_flops_per_second:.0%}"


def disk_needed(cells: Sequence[Cell], sweep: Sweep, num_at_once: int) -> str:
    """A sentence on the disk space that the sweep needs."""
    needed = disk(cells, sweep, num_at_once)
    return (
        f"Disk: at most {approximate_bytes(needed.max_bytes)}: weights "
        f"{approximate_bytes(needed.weights_bytes)}, languages "
        f"{approximate_bytes(needed.languages_bytes)}, checkpoints of running cells "
        f"{approximate_bytes(needed.checkpoints_bytes)}."
    )


def gpu_hours_of(sweep: Sweep, gpu_hours: float) -> str:
    """`3.4 GPU-hours of L4 ($3 at $0.98)`."""
    return f"{short(gpu_hours)} GPU-hours{_of_gpu(sweep, gpu_hours)}"
