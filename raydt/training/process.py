"""How a process is set up that does nothing but train."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic

from raydt.fast_path import fast_path

_CPU = torch.device("cpu")
# What CUDA's context and its kernels take of a GPU in each process: some 0.5 GB.
_CONTEXT_BYTES = 600 * 10**6


def keep_freed_memory() -> None:
    """Let the C library keep what a step frees for the next one, where it can be told to."""
    heap = fast_path("heap")
    if heap is not None:
        heap.keep_freed_memory()


def set_up_process(num_threads: int, device: torch.device = _CPU, gpu_share: float = 1.0) -> None:
    """Threads, memory, GPU and determinism, for this process and for good.

    On a GPU that is `device` what names none goes there too: Triton's kernels, NCCL's barriers. Of
    a GPU that it has a share of, it takes no more memory than that share, so that a cell that needs
    more fails by itself and not its neighbours.

    torch's deterministic algorithms also fill every array that is made without values, so that
    whoever reads before writing reads the same. Nothing here does (a cell that is resumed ends bit
    for bit as one that was not), and filling took a sixth of a step of `nano`: 10.9 instead of
    9.1 ms.
    """
    torch.set_num_threads(num_threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        fraction = _memory_fraction(
            gpu_share, torch.cuda.get_device_properties(device).total_memory
        )
        torch.cuda.set_per_process_memory_fraction(fraction, device)
    keep_freed_memory()
    if device.type == "cpu":  # on a GPU it costs time, and is the recipe's to ask for
        # The same as `use_deterministic_algorithms(True)`, which loads torch's compiler: 2 s.
        torch.set_deterministic_debug_mode("error")
    # A property that torch puts in place at run time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def determinism(device: torch.device, wanted: bool) -> Iterator[None]:
    """Deterministic algorithms on a GPU, if `wanted`, for the time of a cell; a CPU stays as it
    is."""
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def has_whole_gpu(device: torch.device) -> bool:
    """Whether `device` is a GPU that this process shares with no other, as far as it was told."""
    return device.type == "cuda" and torch.cuda.get_per_process_memory_fraction(device) == 1.0


def release_memory(device: torch.device) -> None:
    """Return to the GPU what a cell has left in torch's cache: the next one has other shapes, and
    on a GPU that is shared, neighbours may lack it."""
    if device.type == "cuda":
        gc.collect()  # a model and its optimiser refer to each other
        torch.cuda.empty_cache()


def _memory_fraction(gpu_share: float, total_bytes: int) -> float:
    """Of a GPU's memory for torch's arrays, in a process that has `gpu_share` of it; the cap does
    not count what CUDA itself takes."""
    if gpu_share >= 1:
        return 1.0
    return max(gpu_share / 2, gpu_share - _CONTEXT_BYTES / total_bytes)
