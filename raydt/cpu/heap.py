"""The C library keeps the memory that a training step frees, for the next step.

By default glibc gives large blocks, and the free end of its heap, back to the kernel, and fetches
them anew a millisecond later: a page fault for every 4 KiB. A step of `nano` with 8
windows had 1,200 of them, and took 1.4 times as long (docs/model.md, benchmarks/fast_path.py).
"""

from __future__ import annotations

import ctypes

# From glibc's malloc.h. Blocks from the first number of bytes on are mapped one by one (32 MiB is
# the most that glibc takes); a free end of the heap is given back from the second on.
_M_TRIM_THRESHOLD, _TRIM_BYTES = -1, 2**29
_M_MMAP_THRESHOLD, _MMAP_BYTES = -3, 2**25


def keep_freed_memory() -> bool:
    """Tell glibc's malloc, for this process and for good; False where there is no glibc.

    Up to 512 MiB that are free stay with the process. The numbers that are computed are the same.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    taken = (
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES),
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES),
    )
    return all(taken)
