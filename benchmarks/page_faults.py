"""What it is worth that the C library keeps freed memory (raydt/training/heap.py).

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/page_faults.py

Training steps of `nano` in fresh processes, by turns with and without: page faults and CPU
milliseconds a step, and the median of the ratios of neighbours. Fresh, because how much glibc gives
back depends on what the heap held before.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.decoder import Decoder
from raydt.training.heap import keep_freed_memory
from raydt.training.loop import train_step
from raydt.training.optimizer import Optimizer

PAIRS, WARM_UP_STEPS, STEPS = 9, 30, 150


def measure() -> tuple[float, float]:
    """Page faults and CPU seconds a step, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Decoder(MODELS["nano"])
    data = np.random.default_rng(0).integers(1, 256, 200_000).astype(np.uint8)
    batches = WindowBatches(data, model.config.window_bytes, 8, seed=0)
    optimizer = Optimizer(model, Recipe(schedule="constant"), 1000)
    for number in range(WARM_UP_STEPS + STEPS):
        if number == WARM_UP_STEPS:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            start = time.process_time()
        train_step(model, batches.next_batch())
        optimizer.step(number)
    seconds = time.process_time() - start
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / STEPS, seconds / STEPS


def in_a_process(how: str) -> tuple[float, float]:
    command = [sys.executable, __file__, how]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(found[0]), float(found[1])


def main() -> None:
    if len(sys.argv) > 1:
        if sys.argv[1] == "keep":
            keep_freed_memory()
        print(*measure())
        return
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    pairs = [(in_a_process("default"), in_a_process("keep")) for _ in range(PAIRS)]
    for place, how in enumerate(("default", "kept")):
        faults = sorted(pair[place][0] for pair in pairs)
        seconds = median(pair[place][1] for pair in pairs)
        print(f"{how:<8} {faults[0]:.0f} to {faults[-1]:.0f} faults, {seconds * 1e3:.2f} ms a step")
    print(f"ratio    {median(pair[0][1] / pair[1][1] for pair in pairs):.2f}")


if __name__ == "__main__":
    main()
