"""Training of one cell: plain torch, callable from a notebook.

outcome = train(TrainConfig(MODELS["nano"], Recipe(), size_bytes=64_000), splits)
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from raydt.config.model import ModelConfig
from raydt.config.protocol import Recipe
from raydt.corpora.batches import Batch, WindowBatches
from raydt.model.decoder import IGNORED_TARGET, Decoder
from raydt.tracking.schema import Status, Stop
from raydt.training.checkpoint import load_weights
from raydt.training.evaluate import evaluate
from raydt.training.optimizer import Optimizer


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a cell's result, besides its data and the weights it starts from."""

    model: ModelConfig
    recipe: Recipe | None  # None: evaluate only
    size_bytes: int
    seed: int = 0
    evaluations: int = 8
    patience: int = 3


@dataclass(frozen=True)
class Splits:
    """Bytes to learn from, to choose the checkpoint by, and to report; each (n,) uint8."""

    train: NDArray[np.uint8]
    val: NDArray[np.uint8]
    test: NDArray[np.uint8]


@dataclass(frozen=True)
class Report:
    """How a cell stands after an evaluation; losses in nats per byte."""

    bytes_seen: int
    train_loss: float | None  # mean since the last report; None before the first step
    val_loss: float
    bytes_per_second: float | None  # of training alone, evaluation left out


@dataclass
class Outcome:
    """What came of a cell; losses in nats per byte, of the checkpoint with the best `val_loss`."""

    status: Status
    reason: str | None = None
    stopped: Stop | None = None
    best_val_loss: float | None = None
    best_bytes_seen: int | None = None
    test_loss: float | None = None
    test_loss_stderr: float | None = None
    bytes_seen: int = 0
    training_seconds: float = 0.0
    weights: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)


def train(
    config: TrainConfig,
    splits: Splits,
    *,
    initial_weights: Path | None = None,
    report: Callable[[Report], None] = lambda _: None,
    device: torch.device | None = None,
) -> Outcome:
    """Train until the validation loss stops improving or the budget is used up, then test.

    `initial_weights` are those of a pretrained cell; without them the model starts at random.
    `report` is called after every evaluation. The caller's random state is left as it was. A loss
    that is not finite ends the cell with status `diverged`.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = Decoder(config.model)
    if initial_weights is not None:
        load_weights(model, initial_weights)
    model.to(device)
    if config.recipe is None:
        outcome = _untrained(model, splits, report)
    else:
        outcome = _train(model, config, config.recipe, splits, report)
    if outcome.status is Status.DONE:
        model.load_state_dict(outcome.weights)
        test = evaluate(model, splits.test)
        outcome.test_loss, outcome.test_loss_stderr = test.loss, test.loss_stderr
    return outcome


def _untrained(model: Decoder, splits: Splits, report: Callable[[Report], None]) -> Outcome:
    val_loss = evaluate(model, splits.val).loss
    report(Report(0, None, val_loss, None))
    return Outcome(
        Status.DONE,
        stopped=Stop.EVALUATED,
        best_val_loss=val_loss,
        best_bytes_seen=0,
        weights=_copy_weights(model),
    )


def _train(
    model: Decoder,
    config: TrainConfig,
    recipe: Recipe,
    splits: Splits,
    report: Callable[[Report], None],
) -> Outcome:
    window_bytes = config.model.window_bytes
    batch_windows = recipe.batch_windows(config.size_bytes, window_bytes)
    num_steps = recipe.num_steps(config.size_bytes, window_bytes)
    batches = WindowBatches(splits.train, window_bytes, batch_windows, seed=config.seed)
    optimizer = Optimizer(model, recipe, num_steps)
    # Evaluations are spread evenly, and the last step always has one.
    evaluate_after = {
        math.ceil(num_steps * (i + 1) / config.evaluations) for i in range(config.evaluations)
    }
    outcome = Outcome(Status.DONE, stopped=Stop.BUDGET)
    best_val_loss = math.inf
    without_better = 0
    since_report = torch.zeros((), device=next(model.parameters()).device)
    steps_since_report = 0
    clock = time.perf_counter()
    seconds_since_report = 0.0
    for step in range(num_steps):
        loss = train_step(model, batches.next_batch())
        optimizer.step(step)
        since_report += loss
        steps_since_report += 1
        outcome.bytes_seen = (step + 1) * batch_windows * window_bytes
        if step + 1 not in evaluate_after:
            continue
        train_loss = since_report.item() / steps_since_report
        seconds_since_report = time.perf_counter() - clock
        outcome.training_seconds += seconds_since_report
        val_loss = evaluate(model, splits.val).loss
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            outcome.status, outcome.stopped = Status.DIVERGED, None
            outcome.reason = (
                f"loss not finite by step {step + 1} of {num_steps}: "
                f"train {train_loss}, validation {val_loss}"
            )
            return outcome
        seen = steps_since_report * batch_windows * window_bytes
        report(Report(outcome.bytes_seen, train_loss, val_loss, seen / seconds_since_report))
        if val_loss < best_val_loss:
            best_val_loss, without_better = val_loss, 0
            outcome.best_val_loss, outcome.best_bytes_seen = val_loss, outcome.bytes_seen
            outcome.weights = _copy_weights(model)
        else:
            without_better += 1
            if without_better >= config.patience:
                outcome.stopped = Stop.CONVERGED
                break
        since_report.zero_()
        steps_since_report = 0
        clock = time.perf_counter()
    return outcome


def train_step(model: Decoder, batch: Batch) -> torch.Tensor:
    """Forward and backward; the loss, without waiting for a GPU to have it."""
    device = next(model.parameters()).device
    window_BT1 = torch.from_numpy(batch.windows.astype(np.int64))
    # A copy: of a single row the slice would be contiguous already, and share memory with x.
    y_BT = window_BT1[:, 1:].clone()
    if batch.num_ignored.any():
        ignored = torch.from_numpy(batch.num_ignored)[:, None]
        y_BT[torch.arange(y_BT.shape[1]) < ignored] = IGNORED_TARGET
    x_BT, y_BT = window_BT1[:, :-1].to(device), y_BT.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        loss = model.loss(x_BT, y_BT)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _copy_weights(model: Decoder) -> dict[str, torch.Tensor]:
    return copy.deepcopy({name: tensor.cpu() for name, tensor in model.state_dict().items()})
