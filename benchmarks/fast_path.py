"""How much each part of `raydt/cpu`, the CPU's fast path, speeds up a training step.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/fast_path.py

Steps of scratch cells, as in `train`, in the default precision: the demo's cells are of `nano`,
with 2 to 8 windows per batch. Each runs in its own process, alternating between both parts and
without each, because how much memory glibc returns depends on the previous state of the heap.
Prints CPU milliseconds per step (the machine may be shared) and medians of the ratios within a
round.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import WindowBatches
from raydt.fast_path import switched_off
from raydt.model.families import new_decoder
from raydt.training.average import WeightAverage
from raydt.training.optimizer.combined import Optimizer
from raydt.training.precision import cpu_multiplies_bfloat16
from raydt.training.process import keep_freed_memory
from raydt.training.step import Gradients

ROUNDS = 7
PARTS = ("attention", "heap")
CELLS = [("nano", 2, 200), ("nano", 8, 120), ("micro", 8, 12)]  # model, windows, steps


def measure(name: str, num_windows: int, num_steps: int, without: str) -> tuple[float, float]:
    """CPU seconds and page faults a step, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if without not in ("heap", "both"):
        keep_freed_memory()
    model = new_decoder(MODELS[name])
    recipe = Recipe(schedule="constant", average="power")
    data = generate("alba", "train", 32_000, 0)
    batches = WindowBatches(data, model.config.window_bytes, num_windows, seed=0)
    gradients, optimizer = Gradients(model, recipe), Optimizer(model, recipe, 10**6)
    average = WeightAverage(model, recipe.average_power)
    warm_up = num_steps // 4
    with switched_off() if without in ("attention", "both") else nullcontext():
        for step in range(warm_up + num_steps):
            if step == warm_up:
                faults, start = page_faults(), time.process_time()
            gradients(batches.next_batch())
            optimizer.step(step)
            average.update(step + 1)
    seconds = time.process_time() - start
    return seconds / num_steps, (page_faults() - faults) / num_steps


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def in_a_process(name: str, num_windows: int, num_steps: int, without: str) -> tuple[float, float]:
    """What `measure` gives in a process that has imported everything, and done nothing yet."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(measure, name, num_windows, num_steps, without).result()


def main() -> None:
    kind = "bfloat16" if cpu_multiplies_bfloat16() else "float32"
    title = f"{kind}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    table = Table("cell", "without", "ms with", "ms without", "x", "faults without", title=title)
    for cell in CELLS:
        rounds = [
            {without: in_a_process(*cell, without) for without in ("nothing", *PARTS, "both")}
            for _ in range(ROUNDS)
        ]
        whole = [found["nothing"][0] for found in rounds]
        for without in (*PARTS, "both"):
            seconds = [found[without][0] for found in rounds]
            ratio = median(a / b for a, b in zip(seconds, whole, strict=True))
            table.add_row(
                f"{cell[0]}, {cell[1]} windows",
                without,
                f"{median(whole) * 1e3:.2f}",
                f"{median(seconds) * 1e3:.2f}",
                f"{ratio:.2f}",
                f"{median(found[without][1] for found in rounds):.0f}",
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
