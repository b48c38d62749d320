"""Training of one cell: plain torch, callable from a notebook.

outcome = train(TrainConfig(MODELS["nano"], Recipe(), size_bytes=64_000), splits)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from raydt.errors import RunError
from raydt.model.alphabet import EVERY_BYTE, Alphabet
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.tracking.schema import Status, Stop
from raydt.training.cell import CellTraining
from raydt.training.checkpoints.folder import CheckpointFolder
from raydt.training.checkpoints.weights import load_weights
from raydt.training.config import Splits, TrainConfig, check
from raydt.training.evaluate import Evaluator
from raydt.training.outcome import Outcome, Report, Resumed
from raydt.training.precision import is_bfloat16
from raydt.training.process import determinism
from raydt.training.ranks import Ranks
from raydt.training.step import train_step

__all__ = [
    "CheckpointFolder",
    "Outcome",
    "Ranks",
    "Report",
    "Resumed",
    "Splits",
    "TrainConfig",
    "train",
    "train_step",
]


def train(
    config: TrainConfig,
    splits: Splits,
    *,
    initial_weights: Path | None = None,
    report: Callable[[Report], None] = lambda _: None,
    device: torch.device | None = None,
    checkpoints: CheckpointFolder | Path | None = None,
    resumed: Callable[[Resumed], None] = lambda _: None,
    ranks: Ranks | None = None,
) -> Outcome:
    """Train until the validation loss stops improving or the budget is used up, then test, if there
    is a test split. If the recipe averages weights, the average is evaluated, kept and tested. If
    there is a `source_test`, the cell is tested on it, too.

    `initial_weights` are those of a pretrained cell; without them the model is initialised at
    random. A cell that starts from weights is also evaluated before its first step, and keeps them
    if nothing better follows. `report` is called after every evaluation. The caller's random state
    does not change.

    With `checkpoints` the cell can be interrupted at any time: the same call resumes it and ends
    with the same bits (on a CPU with one thread). `resumed` is then called before any report. The
    caller removes the checkpoints once it has stored the outcome.

    All `ranks` call this with the same arguments and return the same outcome; only the first one
    reports and writes. Weights are float32, and each rank applies the same updates.

    If a loss or a weight is not finite, the cell ends with status `diverged`. It is not retried:
    the same steps would diverge again, and other steps would be another protocol.

    Raises `InputError` with all reasons why the cell cannot be trained or resumed; `RunError` for
    incomplete files and for a batch that does not fit in memory.
    """
    ranks = ranks or Ranks()
    check(config, splits, ranks.num_ranks)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(checkpoints, Path):
        checkpoints = CheckpointFolder(checkpoints)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        determinism(device, config.recipe is not None and config.recipe.deterministic),
        _explain_out_of_memory(device),
    ):
        torch.manual_seed(config.seed)
        model = new_decoder(config.model)
        parent = None if initial_weights is None else load_weights(model, initial_weights)
        model.to(device)
        alphabet = _alphabet(config, splits, parent, initial_weights is not None)
        model.restrict(alphabet)
        precision = config.precision if config.recipe is None else config.recipe.precision
        evaluator = Evaluator(precision=precision, ranks=ranks)
        if not ranks.is_first:
            report = _ignore
        if config.recipe is None:
            outcome = _untrained(model, splits, evaluator, report)
        else:
            cell = CellTraining(model, config, config.recipe, splits, evaluator, report, ranks)
            if checkpoints is not None:
                cell.resume(checkpoints, resumed if ranks.is_first else _ignore)
            outcome = cell.run(initial_weights is not None)
        if outcome.status is Status.DONE and splits.test is not None:
            model.load_state_dict(outcome.weights)
            tester = Evaluator(config.test_stride_bytes, precision=precision, ranks=ranks)
            test = tester.evaluate(model, splits.test)
            outcome.test_loss, outcome.test_loss_stderr = test.loss, test.loss_stderr
            if splits.source_test is not None:
                outcome.source_loss = tester.evaluate(model, splits.source_test).loss
    outcome.alphabet = alphabet
    if parent is not None and splits.test is not None:
        outcome.unseen_share = parent.unseen_share(splits.test)
    outcome.precision = "bfloat16" if is_bfloat16(precision, device) else "float32"
    return outcome


@contextmanager
def _explain_out_of_memory(device: torch.device) -> Iterator[None]:
    """Turns a lack of memory into a `RunError` that says what to do. Steps do not raise it before
    they have tried smaller parts."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        what = str(error).partition(". ")[0]
        raise RunError(
            f"{device} ran out of memory for weights, optimizer or evaluation: {what}; use fewer "
            "cells per GPU (a larger gpus_per_cell), a smaller model, or a GPU with more memory"
        ) from None


def _ignore(_: object) -> None:
    pass


def _alphabet(
    config: TrainConfig, splits: Splits, parent: Alphabet | None, starts_from_weights: bool
) -> Alphabet:
    """The byte values that the weights will have seen; weights without a record may have seen
    all."""
    if starts_from_weights and parent is None:
        parent = EVERY_BYTE
    if config.recipe is None:
        return parent or EVERY_BYTE
    escapes = config.recipe.unseen_bytes == "escape" or (
        config.recipe.unseen_bytes == "auto" and config.model.family == "paper"
    )
    return Alphabet.of_data(splits.train, parent, escapes=escapes)


def _untrained(
    model: Decoder, splits: Splits, evaluator: Evaluator, report: Callable[[Report], None]
) -> Outcome:
    val_loss = evaluator.evaluate(model, splits.val).loss
    report(Report(0, None, val_loss, None))
    weights = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    return Outcome(
        Status.DONE,
        stopped=Stop.EVALUATED,
        best_val_loss=val_loss,
        best_bytes_seen=0,
        weights=weights,
    )
