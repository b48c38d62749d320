"""How many windows of a batch a GPU takes at once, found by measuring and not by failing."""

from __future__ import annotations

from collections.abc import Callable

import torch

# More at once does not make a GPU faster (docs/gpu.md), and takes memory.
MOST_BYTES_AT_ONCE = 2**17
# Of the memory that is free; the rest is for what the allocator cannot use and for an evaluation.
_SHARE = 0.85


def windows_at_once(
    peak_bytes: Callable[[int], int], free_bytes: int, num_windows: int, window_bytes: int
) -> int:
    """Windows of a part of a batch of `num_windows`, of parts that differ by one at most.

    `peak_bytes` measures what a forward and backward pass over n windows takes beyond what is held
    before and after. What is the same for any n and what grows with it are told apart by two
    measurements. At least 1, also where even one may not fit: then the step says so.
    """
    most = min(num_windows, max(1, MOST_BYTES_AT_ONCE // window_bytes))
    if most == 1:
        return 1
    one = peak_bytes(1)
    few = min(most, 4)
    grows_by = max(1, (peak_bytes(few) - one) / (few - 1))
    fitting = 1 + int(max(0.0, _SHARE * free_bytes - one) / grows_by)
    at_once = min(most, fitting)
    num_parts = -(-num_windows // at_once)
    return -(-num_windows // num_parts)


def free_bytes(device: torch.device) -> int:
    """What this process can still take of a GPU: unused by anybody, or set aside by its own
    allocator; within its cap where it shares the GPU."""
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    capped = total * torch.cuda.get_per_process_memory_fraction(device) - reserved
    unused = reserved - torch.cuda.memory_allocated(device)
    return int(max(0.0, min(free, capped))) + unused


def peak_bytes_of(run: Callable[[], None], device: torch.device) -> int:
    """The most that `run` holds beyond what is held before it."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
