"""Cost and gain of bfloat16 on a CPU: the same cells in both precisions.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/precisions.py

Scratch cells of `nano` with the demo's protocol, by seed, once in float32 and once in bfloat16:
bits per byte on the test split, and the paired difference (positive: bfloat16 is worse) with its
standard error over seeds, and the standard deviation between seeds for comparison. Then the speed
of a step in both, interleaved; medians of the ratios within a round, in CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from statistics import fmean, median, stdev

import torch
from rich.console import Console
from rich.table import Table

from raydt.config.model import MODELS
from raydt.config.protocol import DEMO_PROTOCOL
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.families import new_decoder
from raydt.tracking.schema import Stage
from raydt.training.evaluate import bits
from raydt.training.loop import Splits, TrainConfig, train
from raydt.training.optimizer.combined import Optimizer
from raydt.training.precision import Precision, cpu_multiplies_bfloat16
from raydt.training.process import keep_freed_memory
from raydt.training.step import Gradients

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
BATCH_WINDOWS, ROUNDS = 8, 5
STEPS_A_ROUND = {"nano": 10, "micro": 2, "mini": 1, "paper-nano": 10, "paper-micro": 2}


def test_bpb(size_bytes: int, seed: int, precision: Precision) -> float:
    config = TrainConfig.of(DEMO_PROTOCOL, Stage.SCRATCH, MODELS["nano"], size_bytes, seed)
    recipe = DEMO_PROTOCOL.scratch.model_copy(update={"precision": precision})
    splits = Splits(
        generate("alba", "train", size_bytes, 0),
        generate("alba", "val", DEMO_PROTOCOL.most_val_bytes, 0),
        generate("alba", "test", DEMO_PROTOCOL.most_test_bytes, 0),
    )
    loss = train(replace(config, recipe=recipe), splits).test_loss
    assert loss is not None
    return bits(loss)


def losses(sizes_bytes: list[int], num_seeds: int) -> Table:
    table = Table(title=f"nano, bits per byte on the test split, {num_seeds} seeds")
    columns = "size", *PRECISIONS, "difference", "standard error", "between seeds"
    for column in columns:
        table.add_column(column, justify="right")
    for size_bytes in sizes_bytes:
        by_precision = {
            precision: [test_bpb(size_bytes, seed, precision) for seed in range(num_seeds)]
            for precision in PRECISIONS
        }
        exact, rounded = by_precision.values()
        difference = [b - a for a, b in zip(exact, rounded, strict=True)]
        table.add_row(
            f"{size_bytes:,}",
            f"{fmean(exact):.4f}",
            f"{fmean(rounded):.4f}",
            f"{fmean(difference):+.4f}",
            f"{stdev(difference) / num_seeds**0.5:.4f}",
            f"{stdev(exact):.4f}",
        )
    return table


def rates() -> Table:
    table = Table("model", "float32 kB/s", "bfloat16 kB/s", "bfloat16 / float32")
    data = generate("related", "train", 200_000, 0)
    for name, num_steps in STEPS_A_ROUND.items():
        config = MODELS[name]
        runs = {}
        for precision in PRECISIONS:
            model, recipe = new_decoder(config), Recipe(precision=precision)
            runs[precision] = (
                Gradients(model, recipe),
                Optimizer(model, recipe, 1000),
                WindowBatches(data, config.window_bytes, BATCH_WINDOWS, 0),
            )
        found: dict[str, list[float]] = {precision: [] for precision in runs}
        for round_number in range(ROUNDS + 1):
            for precision, (gradients, optimizer, batches) in runs.items():
                start = time.process_time()
                for _ in range(num_steps):
                    gradients(batches.next_batch())
                    optimizer.step(50)
                seconds = time.process_time() - start
                if round_number:  # the first warms up
                    num_bytes = num_steps * BATCH_WINDOWS * config.window_bytes
                    found[precision].append(num_bytes / seconds)
        exact, rounded = found.values()
        ratio = median(b / a for a, b in zip(exact, rounded, strict=True))
        table.add_row(
            name, f"{median(exact) / 1e3:.1f}", f"{median(rounded) / 1e3:.1f}", f"{ratio:.2f}"
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[8_000, 32_000, 128_000])
    parser.add_argument("--seeds", type=int, default=8, help="how many, two at least")
    parser.add_argument("--without-rates", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    console = Console(width=120)
    console.print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, one thread")
    console.print(f"this CPU multiplies in bfloat16: {cpu_multiplies_bfloat16()}")
    if not arguments.without_rates:
        console.print(rates())
    console.print(losses(arguments.sizes, arguments.seeds))


if __name__ == "__main__":
    main()
