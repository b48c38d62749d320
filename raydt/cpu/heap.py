"""Make the C library keep the memory that a training step frees, for the next step.

By default glibc returns large blocks and the free end of its heap to the kernel and requests them
again a millisecond later: a page fault per 4 KiB. A step of `nano` with 8 windows had 1,200 page
faults and took 1.4 times as long (docs/model.md, benchmarks/fast_path.py).
"""

from __future__ import annotations

import ctypes

# From glibc's malloc.h. Blocks of at least _MMAP_BYTES are mapped one by one (glibc allows at most
# 32 MiB); the free end of the heap is returned from _TRIM_BYTES on.
_M_TRIM_THRESHOLD, _TRIM_BYTES = -1, 2**29
_M_MMAP_THRESHOLD, _MMAP_BYTES = -3, 2**25


def keep_freed_memory() -> bool:
    """Set this for the whole life of the process; False if the C library is not glibc.

    The process keeps up to 512 MiB of free memory. Results do not change.
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
