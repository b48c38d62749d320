"""Timing on a GPU or a CPU, and the cell whose steps are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from raydt.config.compiling import What
from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.families import new_decoder
from raydt.training.average import WeightAverage
from raydt.training.optimizer.combined import Optimizer
from raydt.training.state import TrainingState
from raydt.training.step import Gradients
from raydt.training.stepper import Stepper


def wait(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """The median time of `run`, after one that does not count."""
    run()
    taken = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        taken.append(time.perf_counter() - start)
    return median(taken)


class TimedCell:
    """A cell that takes steps as `train` does, on random bytes, indefinitely."""

    def __init__(
        self,
        name: str,
        device: torch.device,
        batch_windows: int,
        *,
        compile: What = "off",
        graphed: bool = True,
    ) -> None:
        config = MODELS[name]
        self.step_bytes = batch_windows * config.window_bytes
        self._steps = 0
        torch.manual_seed(0)
        model = new_decoder(config).to(device)
        recipe = Recipe(average="power")
        rows = max(256, 2 * batch_windows)
        data = np.random.default_rng(0).integers(1, 256, rows * config.window_bytes)
        self._batches = WindowBatches(
            data.astype(np.uint8), config.window_bytes, batch_windows, seed=0
        )
        average = WeightAverage(model, recipe.average_power)
        state = TrainingState(model, Optimizer(model, recipe, 10**6), self._batches, average)
        self.gradients = Gradients(model, recipe)
        self._stepper = Stepper(
            state, self.gradients, batch_windows, config.window_bytes, graphs=graphed
        )
        self.gradients.compile(compile)

    def step(self) -> None:
        """Take the next step."""
        self._stepper.step(self._steps, self._batches.next_batch())
        self._steps += 1

    def steps(self, number: int) -> None:
        """Take so many."""
        for _ in range(number):
            self.step()
