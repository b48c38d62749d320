"""Steps with and without `torch.compile`, compared with a nanoGPT-style loop both ways.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/compiled.py nano micro
    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/compiled.py nano micro --precision float32

One thread; in bfloat16, the peer by autocast, or in float32. What is compiled is what
`compile = model` of a recipe compiles, the loss with its gradient; of the peer the model, as its
users do. Contenders alternate; a ratio is the median over rounds of ratios within a round, in CPU
seconds. Compiling is timed with an empty cache, including the compiler's own processes (g++), and
"pays after" divides it by the saving per step.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.peers.nano_gpt import NanoGPT
from benchmarks.training import BATCH_WINDOWS, AdamwOnly, peer_step, shape_of
from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.training.optimizer.combined import Optimizer
from raydt.training.precision import Precision
from raydt.training.process import keep_freed_memory
from raydt.training.step import Gradients

ROUNDS = {"nano": 15, "micro": 7, "mini": 5}
STEPS_A_ROUND = {"nano": 10, "micro": 2, "mini": 1}
Step = Callable[[], object]


def cpu_seconds() -> float:
    """Of this process and of those it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def own_step(
    kind: Callable[[ModelConfig], Decoder],
    config: ModelConfig,
    data: NDArray[np.uint8],
    precision: Precision,
    compile: bool,
) -> Step:
    """A step as `train` takes it."""
    model, recipe = kind(config), Recipe(precision=precision)
    gradients, optimizer = Gradients(model, recipe), Optimizer(model, recipe, 10**6)
    gradients.compile("model" if compile else "off")
    batches = WindowBatches(data, config.window_bytes, BATCH_WINDOWS, seed=0)

    def step() -> None:
        gradients(batches.next_batch())
        optimizer.step(50)

    return step


def compare(name: str, data: NDArray[np.uint8], precision: Precision) -> Table:
    config = MODELS[name]
    steps: dict[str, Step] = {}
    for compile in (False, True):
        how = "compiled" if compile else "eager"
        steps[f"raydt, AdamW, {how}"] = own_step(AdamwOnly, config, data, precision, compile)
        steps[f"raydt, Muon, {how}"] = own_step(new_decoder, config, data, precision, compile)
        peer = NanoGPT(shape_of(config))
        model: nn.Module = torch.compile(peer) if compile else peer  # type: ignore[assignment]
        steps[f"nanoGPT-style, {how}"] = peer_step(
            model, data, config.window_bytes, 1e-3, 10**6, precision == "bfloat16"
        )
    first = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for label, step in steps.items():
            start = cpu_seconds()
            step()
            first[label] = cpu_seconds() - start
            step()
    # Both optimisers have the same graph, which is compiled for the first.
    first["raydt, Muon, compiled"] = first["raydt, AdamW, compiled"]
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    for _ in range(ROUNDS[name]):
        for label, step in steps.items():
            start = time.process_time()
            for _ in range(STEPS_A_ROUND[name]):
                step()
            seconds[label].append((time.process_time() - start) / STEPS_A_ROUND[name])
    table = Table(
        "contender",
        "kB/s",
        "x eager",
        "x nanoGPT eager",
        "x nanoGPT compiled",
        "first step s",
        "pays after",
        title=f"{name}, {precision}",
    )
    num_bytes = BATCH_WINDOWS * config.window_bytes

    def ratio(label: str, other: str) -> float:
        return median(a / b for a, b in zip(seconds[other], seconds[label], strict=True))

    for label, taken in seconds.items():
        eager = label.replace("compiled", "eager")
        saved = median(a - b for a, b in zip(seconds[eager], taken, strict=True))
        pays = f"{(first[label] - first[eager]) / saved:,.0f} steps" if saved > 0 else ""
        table.add_row(
            label,
            f"{num_bytes / median(taken) / 1e3:.1f}",
            f"{ratio(label, eager):.2f}",
            f"{ratio(label, 'nanoGPT-style, eager'):.2f}",
            f"{ratio(label, 'nanoGPT-style, compiled'):.2f}",
            f"{first[label]:.2f}",
            pays,
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", choices=ROUNDS)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    arguments = parser.parse_args()
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes that outlive a compilation
    torch.set_num_threads(1)
    keep_freed_memory()
    data = generate("related", "train", 1_000_000, 0)
    console = Console(width=140)
    for name in arguments.models:
        console.print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, one thread")
        console.print(compare(name, data, arguments.precision))


if __name__ == "__main__":
    main()
