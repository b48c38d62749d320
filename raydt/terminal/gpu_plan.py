"""What the plan of a sweep says of the machines that it would run on: cells at once, the rate that
time is reckoned by, money and disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raydt.config.machine import gpu_places
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.cost import assumed_flops_per_second, dollars_per_gpu_hour, planned_gpu
from raydt.grid.disk import disk
from raydt.terminal.amounts import short
from raydt.units import approximate_bytes


def slots_of_plan(sweep: Sweep, gpus_of_cluster: int | None) -> tuple[int, str]:
    """Cells at once, and on what: as `slots` says, else on the GPUs of the cluster that the plan is
    for, else on this machine."""
    if sweep.slots is not None:
        return sweep.slots, ""
    if gpus_of_cluster is not None and sweep.gpus_per_cell:
        places = max(1, gpu_places(gpus_of_cluster, sweep.gpus_per_cell))
        return places, f" on {gpus_of_cluster} {planned_gpu(sweep).name}"
    return sweep.num_slots, " on this machine"


def money(sweep: Sweep, gpu_hours: float) -> str:
    """What GPU-hours cost, in words that follow them."""
    price, gpu = dollars_per_gpu_hour(sweep), planned_gpu(sweep).name
    if price is None:
        return f" of {gpu}"
    return f" of {gpu} (${gpu_hours * price:,.0f} at ${price:.2f})"


def basis(sweep: Sweep, rates: Mapping[str, float]) -> str:
    """What time is reckoned by: measured rates, or what is assumed; of GPUs as MFU too."""
    gpu = planned_gpu(sweep)
    sheet = f"the {gpu.peak_flops_per_second / 1e12:.0f} TFLOP/s of {gpu.name}'s data sheet"
    if rates:
        measured = ", ".join(
            f"{model} {rate / 1e9:.0f}{_mfu_reached(sweep, rate)}" for model, rate in rates.items()
        )
        told = f"as this sweep's own cells ran (GFLOP/s a slot: {measured})"
    else:
        told = f"assumed {assumed_flops_per_second(sweep) / 1e9:.0f} GFLOP/s a slot"
    if sweep.gpus_per_cell:
        assumed = "" if rates else f", an MFU of {gpu.assumed_mfu:.0%} of {sheet}"
        return f"Time: {told}{assumed}."
    return f"Time: {told}. GPU-h: {gpu.name} at {gpu.assumed_mfu:.0%} of {sheet}."


def _mfu_reached(sweep: Sweep, flops_per_second: float) -> str:
    """None of less than a whole GPU: its neighbours' work is not in it."""
    if sweep.gpus_per_cell < 1:
        return ""
    gpu = planned_gpu(sweep)
    return f", MFU {flops_per_second / gpu.peak_flops_per_second:.0%}"


def disk_needed(cells: Sequence[Cell], sweep: Sweep, num_at_once: int) -> str:
    """In a sentence."""
    needed = disk(cells, sweep, num_at_once)
    return (
        f"Disk: at most {approximate_bytes(needed.most_bytes)}: weights "
        f"{approximate_bytes(needed.weights_bytes)}, languages "
        f"{approximate_bytes(needed.languages_bytes)}, checkpoints of what runs "
        f"{approximate_bytes(needed.checkpoints_bytes)}."
    )


def gpu_hours_of(sweep: Sweep, gpu_hours: float) -> str:
    """`3.4 GPU-hours of L4 ($3 at $0.98)`."""
    return f"{short(gpu_hours)} GPU-hours{money(sweep, gpu_hours)}"
