"""Where the time of a cell goes: training steps, evaluation, checkpoints, the rest.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/cell_profile.py [--demo]

Cells of `nano` on alba with the default protocol, or with the demo's. The finetune starts from
random weights, which does not change its time per step. Prints the share of each part and the share
that closed forms predict (a forward pass is a third of a step). Checkpoints are written as by
default (every 30 s, at most 2 % of the time); the last column times a single one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from raydt.config.model import MODELS
from raydt.config.protocol import DEMO_PROTOCOL, Protocol
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.families import new_decoder
from raydt.tracking.schema import Stage
from raydt.training import loop
from raydt.training.average import WeightAverage
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import CheckpointFolder, Splits, TrainConfig, train
from raydt.training.optimizer.combined import Optimizer
from raydt.training.process import set_up_process
from raydt.training.state import TrainingState
from raydt.training.step import Gradients

CELLS = [(Stage.SCRATCH, 2_000), (Stage.FINETUNE, 8_000), (Stage.SCRATCH, 32_000)]


class Stopwatch:
    """Seconds spent in a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def profile_cells(protocol: Protocol) -> None:
    model = MODELS["nano"]
    table = Table(
        "stage",
        "size",
        "seconds",
        "steps %",
        "evaluation %",
        "checkpoints %",
        "rest %",
        "by FLOPs %",
        "one checkpoint ms",
    )
    whole, evaluating = 0.0, 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.manual_seed(0)
        save_weights(new_decoder(model).state_dict(), folder / "start.safetensors")
        val = generate("alba", "val", protocol.most_val_bytes, 0)
        test = generate("alba", "test", protocol.most_test_bytes, 0)
        evaluate = loop.Evaluator.evaluate
        for stage, size_bytes in CELLS:
            config = TrainConfig.of(protocol, stage, model, size_bytes)
            splits = Splits(generate("alba", "train", size_bytes, 0), val, test)
            watch = Stopwatch()
            loop.Evaluator.evaluate = watch.around(evaluate)
            checkpoints = CheckpointFolder(folder / f"{stage}-{size_bytes}")
            start = time.perf_counter()
            outcome = train(
                config,
                splits,
                checkpoints=checkpoints,
                initial_weights=folder / "start.safetensors" if stage is Stage.FINETUNE else None,
            )
            seconds = time.perf_counter() - start
            loop.Evaluator.evaluate = evaluate
            rest = seconds - outcome.training_seconds - watch.seconds - checkpoints.seconds
            forward = protocol.evaluated_bytes(
                stage, size_bytes, model.window_bytes, outcome.bytes_seen
            )
            closed = forward / (forward + 3 * outcome.bytes_seen)
            one = one_checkpoint_seconds(config, splits, folder / "one")
            shares = (outcome.training_seconds, watch.seconds, checkpoints.seconds, rest)
            table.add_row(
                stage,
                f"{size_bytes:,}",
                f"{seconds:.1f}",
                *(f"{100 * share / seconds:.1f}" for share in shares),
                f"{100 * closed:.1f}",
                f"{1000 * one:.1f}",
            )
            print(f"{stage} {size_bytes}: done in {seconds:.0f} s", file=sys.stderr)
            whole += seconds
            evaluating += watch.seconds + checkpoints.seconds
    Console(width=120).print(table)
    print(f"evaluation and checkpoints of all these: {100 * evaluating / whole:.1f} % of the time")


def one_checkpoint_seconds(config: TrainConfig, splits: Splits, path: Path) -> float:
    """Of a cell after a step, with average and best weights: as large as they get."""
    assert config.recipe is not None
    model = new_decoder(config.model)
    batches = WindowBatches(splits.train, config.model.window_bytes, 8, 0)
    optimizer = Optimizer(model, config.recipe, 10)
    Gradients(model, config.recipe)(batches.next_batch())
    optimizer.step(0)
    average = WeightAverage(model, config.recipe.average_power)
    state = TrainingState(model, optimizer, batches, average)
    state.keep_as_best()
    checkpoints = CheckpointFolder(path)
    for step in range(5):
        state.progress.step = step
        checkpoints.write(state.checkpoint(), config.facts())
    return checkpoints.seconds / 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--demo", action="store_true", help="the demo's protocol")
    asked = parser.parse_args()
    set_up_process(1)  # as a worker does
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    profile_cells(DEMO_PROTOCOL if asked.demo else Protocol())


if __name__ == "__main__":
    main()
