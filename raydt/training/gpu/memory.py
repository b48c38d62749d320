"""How many windows of a batch fit on a GPU at once, by measuring instead of failing."""

from __future__ import annotations

from collections.abc import Callable

import torch

# More at once is not faster (docs/gpu.md), and takes more memory.
MAX_BYTES_AT_ONCE = 2**17
# Share of the free memory; the rest is for fragmentation and for an evaluation.
_SHARE = 0.85


def windows_at_once(
    peak_bytes: Callable[[int], int], free_bytes: int, num_windows: int, window_bytes: int
) -> int:
    """Windows per part of a batch of `num_windows`, whose parts differ by at most one.

    `peak_bytes` measures the extra memory of a forward and backward pass over n windows. Two
    measurements separate the part that grows with n from the constant one. Returns at least 1, even
    if one window may not fit: then the step fails.
    """
    most = min(num_windows, max(1, MAX_BYTES_AT_ONCE // window_bytes))
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
    """GPU memory that this process can still use: free memory and that cached by its allocator,
    within its cap if it shares the GPU."""
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    capped = total * torch.cuda.get_per_process_memory_fraction(device) - reserved
    unused = reserved - torch.cuda.memory_allocated(device)
    return int(max(0.0, min(free, capped))) + unused


def peak_bytes_of(run: Callable[[], None], device: torch.device) -> int:
    """Peak memory of `run` beyond what is allocated before it."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
