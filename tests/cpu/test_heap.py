from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

# In a process of its own: what malloc is told, it is told for good.
FAULTS = """
import resource, torch
from raydt.cpu.heap import keep_freed_memory
assert keep_freed_memory()
torch.set_num_threads(1)
def use():
    kept = [torch.ones(2**18) for _ in range(8)]  # 1 MiB each
for _ in range(3):
    use()  # until the heap has its size
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again_instead_of_being_fetched_anew() -> None:
    # Without it the number is anything from none to all pages twenty times, by the heap's layout:
    # benchmarks/fast_path.py measures that, and this holds what is certain.
    command = [sys.executable, "-c", FAULTS]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pages_of_one_use = 8 * 2**20 // resource.getpagesize()
    assert int(found) < 2 * pages_of_one_use
