"""Bytes per second of a training step on one core, and the loss after equal time, against peers.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/training.py

Peers of the same shape and batch (benchmarks/peers): `transformers`' Llama (the extra `bench`) and
a nanoGPT-style decoder, each trained by its usual plain loop, in float32, their default on a CPU,
and in bfloat16 by autocast. raydt's default family runs with the same AdamW, which compares model
and loop, and with its own optimiser (Muon), which costs more per step and needs fewer steps. The
loss after equal time is in bfloat16 for all if this CPU supports it, as raydt does by default, else
in float32. Contenders alternate; a ratio is the median over rounds of ratios within a round.
Seconds are CPU seconds of the process, because the machine may be shared; the load is printed. All
share one process, whose C library keeps freed memory (raydt/cpu/heap.py), which helps the peers
too.

The speed of `nano` is what `raydt plan` assumes before a sweep has finished cells
(`ASSUMED_CORE_FLOPS_PER_SECOND`). For GPUs there is benchmarks/gpu.sh.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.peers.llama import Llama
from benchmarks.peers.nano_gpt import NanoGPT, Shape, fused_adamw, random_batch
from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.default import DefaultDecoder
from raydt.model.families import new_decoder
from raydt.training.optimizer.combined import Optimizer
from raydt.training.precision import cpu_multiplies_bfloat16
from raydt.training.process import keep_freed_memory

BATCH_WINDOWS = 8
ROUNDS = {"nano": 7, "micro": 5, "mini": 3}
STEPS_A_ROUND = {"nano": 10, "micro": 2, "mini": 1}
ADAMW_RATES = (2e-3, 4e-3, 8e-3, 16e-3)  # of the peers, for the loss after equal time
LOSS_SECONDS = {"nano": 6.0, "micro": 20.0}  # of `mini` too few steps fit into a short run
Step = Callable[[], Tensor]
# The number of steps is fixed here, so the learning rate decays to the end. A cell of the default
# protocol has a constant rate and an average of the weights instead.
MUON = Recipe(schedule="cosine")

FIRST_STEP = """
import time, numpy, torch
from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.families import new_decoder
from raydt.training.process import keep_freed_memory
from raydt.training.loop import train_step
from raydt.training.optimizer.combined import Optimizer
torch.set_num_threads(1)
keep_freed_memory()
start = time.process_time()
model = new_decoder(MODELS["{name}"])
data = numpy.ones(100_000, numpy.uint8)
batches = WindowBatches(data, model.config.window_bytes, 8, seed=0)
optimizer = Optimizer(model, Recipe(schedule="cosine"), 1000)
train_step(model, batches.next_batch())
optimizer.step(0)
print(time.process_time() - start)
"""


class AdamwOnly(DefaultDecoder):
    """The default family without matrices for Muon."""

    def matrices(self) -> list[Tensor]:
        return []


def raydt_step(
    config: ModelConfig,
    data: NDArray[np.uint8],
    recipe: Recipe,
    num_steps: int,
    *,
    muon: bool,
    bf16: bool,
) -> tuple[Step, nn.Module]:
    """A step of raydt: its batches, its loss, its optimiser with clipping and schedule."""
    model = new_decoder(config) if muon else AdamwOnly(config)
    optimizer = Optimizer(model, recipe, num_steps)
    batches = WindowBatches(data, config.window_bytes, BATCH_WINDOWS, seed=0)
    number = 0

    def step() -> Tensor:
        nonlocal number
        window = torch.from_numpy(batches.next_batch().windows.astype(np.int64))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model.loss(window[:, :-1], window[:, 1:])
        loss.backward()
        optimizer.step(min(number, num_steps - 1))
        number += 1
        return loss.detach()

    return step, model


def peer_step(
    model: nn.Module, data: NDArray[np.uint8], window: int, rate: float, num_steps: int, bf16: bool
) -> Step:
    """A step of a plain loop: random windows, loss, backward, clipping, fused AdamW, cosine."""
    optimizer = fused_adamw(model, rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps, rate / 20)

    def step() -> Tensor:
        x, y = random_batch(data, BATCH_WINDOWS, window)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss: Tensor = model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        return loss.detach()

    return step


def shape_of(config: ModelConfig) -> Shape:
    return Shape(
        config.width, config.num_layers, config.num_heads, config.hidden, config.window_bytes
    )


def peers() -> dict[str, Callable[[Shape], nn.Module]]:
    found: dict[str, Callable[[Shape], nn.Module]] = {"nanoGPT-style": NanoGPT}
    if importlib.util.find_spec("transformers"):
        found["transformers Llama"] = Llama
    return found


def speed(name: str, data: NDArray[np.uint8]) -> Table:
    """Bytes per second of every contender, and raydt's over each peer's."""
    config = MODELS[name]
    steps: dict[str, Step] = {}
    for kind, bf16 in (("float32", False), ("bfloat16", True)):
        adamw = Recipe(schedule="cosine", learning_rate=1e-3)
        own, _ = raydt_step(config, data, adamw, 10**6, muon=False, bf16=bf16)
        steps[f"raydt, AdamW, {kind}"] = own
        own, _ = raydt_step(config, data, MUON, 10**6, muon=True, bf16=bf16)
        steps[f"raydt, Muon, {kind}"] = own
        for peer, build in peers().items():
            model = build(shape_of(config))
            step = peer_step(model, data, config.window_bytes, 1e-3, 10**6, bf16)
            steps[f"{peer}, {kind}"] = step
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    for step in steps.values():
        step()
    for _ in range(ROUNDS[name]):
        for label, step in steps.items():
            start = time.process_time()
            for _ in range(STEPS_A_ROUND[name]):
                step()
            seconds[label].append((time.process_time() - start) / STEPS_A_ROUND[name])
    num_bytes = BATCH_WINDOWS * config.window_bytes
    title = f"{name}, {config.num_parameters / 1e6:.2f} M parameters"
    table = Table(title=f"{title}, {BATCH_WINDOWS} windows of {config.window_bytes} bytes a step")
    table.add_column("contender")
    columns = ["kB/s", "GFLOP/s", *(f"x {label}" for label in steps if "raydt" not in label)]
    for column in columns:
        table.add_column(column, justify="right")
    for label, taken in seconds.items():
        rate = num_bytes / median(taken)
        flops = rate * config.training_flops_per_byte
        own_flops = f"{flops / 1e9:.1f}" if "raydt" in label else ""
        ratios = [
            f"{median(a / b for a, b in zip(theirs, taken, strict=True)):.2f}"
            for other, theirs in seconds.items()
            if "raydt" not in other
        ]
        table.add_row(label, f"{rate / 1e3:.1f}", own_flops, *ratios)
    return table


def train_for(step: Step, num_steps: int) -> float:
    """Nats per byte over the last tenth of the steps, on text that is new to the model."""
    losses = [step() for _ in range(num_steps)]
    last = losses[-max(1, num_steps // 10) :]
    return float(torch.stack(last).mean())


def loss_after_equal_time(name: str, data: NDArray[np.uint8]) -> Table:
    """Bits per byte after the same seconds of training, each with its own schedule to the end."""
    config, budget, bf16 = MODELS[name], LOSS_SECONDS[name], cpu_multiplies_bfloat16()
    kind = "bfloat16" if bf16 else "float32"
    table = Table(title=f"{name}: bits per byte after {budget:g} seconds of CPU, {kind}")
    for column in ("contender", "steps", "bits per byte"):
        table.add_column(column, justify="left" if column == "contender" else "right")

    def add(label: str, make: Callable[[int], Step]) -> None:
        torch.manual_seed(0)
        probe = make(100)
        probe()
        start = time.process_time()
        repeats = max(2, STEPS_A_ROUND[name])
        for _ in range(repeats):
            probe()
        num_steps = max(10, round(budget * repeats / (time.process_time() - start)))
        torch.manual_seed(0)
        table.add_row(
            label, str(num_steps), f"{train_for(make(num_steps), num_steps) / math.log(2):.3f}"
        )

    def own(num_steps: int) -> Step:
        return raydt_step(config, data, MUON, num_steps, muon=True, bf16=bf16)[0]

    add("raydt, Muon", own)
    for rate in ADAMW_RATES:
        for peer, build in peers().items():

            def other(
                num_steps: int, build: Callable[[Shape], nn.Module] = build, rate: float = rate
            ) -> Step:
                model, window = build(shape_of(config)), config.window_bytes
                return peer_step(model, data, window, rate, num_steps, bf16)

            add(f"{peer}, AdamW {rate:g}", other)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(ROUNDS), choices=ROUNDS)
    parser.add_argument("--without-losses", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # of all contenders: they share a process
    console = Console(width=170)
    console.print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, one thread")
    # Text enough that runs see hardly a byte twice: the training loss is that of new text.
    data = generate("related", "train", 1_000_000, 0)
    for name in arguments.models:
        console.print(speed(name, data))
        first = subprocess.run(
            [sys.executable, "-c", FIRST_STEP.format(name=name)],
            capture_output=True,
            text=True,
            check=True,
        )
        console.print(f"{name}: first step {float(first.stdout):.2f} s after the imports")
        if name in LOSS_SECONDS and not arguments.without_losses:
            console.print(loss_after_equal_time(name, data))
    console.print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
