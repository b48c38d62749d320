"""Set up a process that only trains."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic

from raydt.fast_path import fast_path

_CPU = torch.device("cpu")
# GPU memory of CUDA's context and kernels in each process: about 0.5 GB.
_CONTEXT_BYTES = 600 * 10**6


def keep_freed_memory() -> None:
    """Let the C library keep memory that a step frees for the next one, if it supports this."""
    heap = fast_path("heap")
    if heap is not None:
        heap.keep_freed_memory()


def set_up_process(num_threads: int, device: torch.device = _CPU, gpu_share: float = 1.0) -> None:
    """Set threads, memory, GPU and determinism of this process, permanently.

    A GPU `device` becomes the current one, also for Triton's kernels and NCCL's barriers. If the
    process shares the GPU, its memory is limited to its share, so that a cell that needs more fails
    itself and not its neighbours.

    With torch's deterministic algorithms, uninitialised arrays would also be filled, so that
    reading before writing is deterministic. Nothing here does so (a resumed cell ends bit for bit
    like an uninterrupted one), and filling took a sixth of a step of `nano`: 10.9 instead of 9.1
    ms.
    """
    torch.set_num_threads(num_threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        fraction = _memory_fraction(
            gpu_share, torch.cuda.get_device_properties(device).total_memory
        )
        torch.cuda.set_per_process_memory_fraction(fraction, device)
    keep_freed_memory()
    if device.type == "cpu":  # on a GPU it costs time, and the recipe decides
        # Like `use_deterministic_algorithms(True)`, which would load torch's compiler: 2 s.
        torch.set_deterministic_debug_mode("error")
    # A property that torch defines at run time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def determinism(device: torch.device, wanted: bool) -> Iterator[None]:
    """Use deterministic algorithms on a GPU during a cell, if `wanted`; no effect on a CPU."""
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
    """Whether `device` is a GPU that this process does not share, by its configured share."""
    return device.type == "cuda" and torch.cuda.get_per_process_memory_fraction(device) == 1.0


def release_memory(device: torch.device) -> None:
    """Release the GPU memory that a cell left in torch's cache: the next cell has other shapes, and
    on a shared GPU neighbours may need it."""
    if device.type == "cuda":
        gc.collect()  # a model and its optimiser refer to each other
        torch.cuda.empty_cache()


def _memory_fraction(gpu_share: float, total_bytes: int) -> float:
    """The fraction of a GPU's memory for torch in a process that has `gpu_share` of the GPU,
    without the memory of CUDA itself, which torch's limit does not include."""
    if gpu_share >= 1:
        return 1.0
    return max(gpu_share / 2, gpu_share - _CONTEXT_BYTES / total_bytes)
