"""How a process is set up that does nothing but train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic

from raydt.fast_path import fast_path

_CPU = torch.device("cpu")


def keep_freed_memory() -> None:
    """Let the C library keep what a step frees for the next one, where it can be told to."""
    heap = fast_path("heap")
    if heap is not None:
        heap.keep_freed_memory()


def set_up_process(num_threads: int, device: torch.device = _CPU) -> None:
    """Threads, memory, GPU and determinism, for this process and for good.

    On a GPU that is `device` what names none goes there too: Triton's kernels, NCCL's barriers.

    torch's deterministic algorithms also fill every array that is made without values, so that
    whoever reads before writing reads the same. Nothing here does (a cell that is resumed ends bit
    for bit as one that was not), and filling took a sixth of a step of `nano`: 10.9 instead of
    9.1 ms.
    """
    torch.set_num_threads(num_threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
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
