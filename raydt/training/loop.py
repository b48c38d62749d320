"""Training of one cell: plain torch, callable from a notebook.

outcome = train(TrainConfig(MODELS["nano"], Recipe(), size_bytes=64_000), splits)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.errors import RunError
from raydt.model.alphabet import EVERY_BYTE, Alphabet
from raydt.model.decoder import Decoder
from raydt.tracking.schema import Status, Stop
from raydt.training.average import WeightAverage
from raydt.training.checkpoint import load_weights
from raydt.training.checkpoints import CheckpointFolder
from raydt.training.config import Splits, TrainConfig, check
from raydt.training.ending import LEAST_STEPS, evaluation_steps, has_converged, unfinished
from raydt.training.evaluate import Evaluator
from raydt.training.optimizer import Optimizer
from raydt.training.outcome import Outcome, Report, Resumed
from raydt.training.precision import is_bfloat16
from raydt.training.ranks import Ranks
from raydt.training.state import TrainingState
from raydt.training.step import Gradients, train_step
from raydt.training.throughput import peak_flops_per_second

__all__ = [
    "CheckpointFolder", "Outcome", "Ranks", "Report", "Resumed", "Splits", "TrainConfig", "train",
    "train_step",
]  # fmt: skip

# On a GPU a look at the loss waits for it: not after every step.
_STEPS_BETWEEN_LOOKS = {"cpu": 1, "cuda": 100}


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
    """Train until the validation loss stops improving or the budget is used up, then test (unless
    there is no test split). What is evaluated, kept and tested is the average of the weights where
    the recipe has one.

    `initial_weights` are those of a pretrained cell; without them the model starts at random. A
    cell that starts from weights is evaluated before its first step, too, and keeps them if
    nothing better comes. `report` is called after every evaluation. The caller's random state is
    left as it was.

    With `checkpoints` the cell can be cut off at any time: the same call goes on and ends with the
    same bits (on a CPU with one thread). `resumed` is then called before any report. The caller
    removes them once it has put the outcome in place.

    Of several `ranks` all call this with the same arguments and get the same outcome; the first
    alone reports and writes. Weights are float32 and are updated alike on all of them.

    A loss or a weight that is not finite ends the cell with status `diverged`. It is not tried
    again: the same steps would lead to the same place, and other steps are another protocol.

    Raises `InputError` for what cannot be trained or resumed, all problems at once; `RunError` for
    files that are not whole and for a batch that does not fit in memory.
    """
    ranks = ranks or Ranks()
    check(config, splits, ranks.num_ranks)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(checkpoints, Path):
        checkpoints = CheckpointFolder(checkpoints)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        model = Decoder(config.model)
        parent = None if initial_weights is None else load_weights(model, initial_weights)
        model.to(device)
        alphabet = _alphabet(config, splits, parent, initial_weights is not None)
        model.restrict(alphabet)
        precision = config.precision if config.recipe is None else config.recipe.precision
        evaluator = Evaluator(precision=precision, ranks=ranks)
        if not ranks.is_first:
            report = _to_nobody
        if config.recipe is None:
            outcome = _untrained(model, splits, evaluator, report)
        else:
            cell = _Cell(model, config, config.recipe, splits, evaluator, report, ranks)
            if checkpoints is not None:
                cell.resume(checkpoints, resumed if ranks.is_first else _to_nobody)
            outcome = cell.run(initial_weights is not None)
        if outcome.status is Status.DONE and splits.test is not None:
            model.load_state_dict(outcome.weights)
            tester = Evaluator(config.test_stride_bytes, precision=precision, ranks=ranks)
            test = tester.evaluate(model, splits.test)
            outcome.test_loss, outcome.test_loss_stderr = test.loss, test.loss_stderr
    outcome.alphabet = alphabet
    if parent is not None and splits.test is not None:
        outcome.unseen_share = parent.unseen_share(splits.test)
    outcome.precision = "bfloat16" if is_bfloat16(precision, device) else "float32"
    return outcome


def _to_nobody(_: object) -> None:
    pass


def _alphabet(
    config: TrainConfig, splits: Splits, parent: Alphabet | None, starts_from_weights: bool
) -> Alphabet:
    """The bytes that the weights will have seen; weights without a record have seen any."""
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


class _Cell:
    """The steps, evaluations and checkpoints of a cell that trains."""

    def __init__(
        self,
        model: Decoder,
        config: TrainConfig,
        recipe: Recipe,
        splits: Splits,
        evaluator: Evaluator,
        report: Callable[[Report], None],
        ranks: Ranks,
    ) -> None:
        window_bytes = config.model.window_bytes
        batch_windows = recipe.batch_windows(config.size_bytes, window_bytes)
        recipe = recipe.for_size(config.size_bytes)
        self._config = config
        self._splits = splits
        self._evaluator = evaluator
        self._report = report
        self._ranks = ranks
        self._num_steps = recipe.num_steps(config.size_bytes, window_bytes)
        self._step_bytes = batch_windows * window_bytes
        self._evaluate_after = evaluation_steps(
            self._num_steps, self._step_bytes, config.size_bytes, config.evaluation_growth,
            config.evaluations,
        )  # fmt: skip
        self._batches = WindowBatches(
            splits.train, window_bytes, batch_windows, config.seed, ranks.rank, ranks.num_ranks
        )
        self._gradients = Gradients(model, recipe, ranks)
        self._optimizer = Optimizer(model, recipe, self._num_steps)
        average = WeightAverage(model, recipe.average_power) if recipe.average == "power" else None
        self._state = TrainingState(model, self._optimizer, self._batches, average)
        self._checkpoints: CheckpointFolder | None = None
        self._peak_flops_per_second = peak_flops_per_second(
            self._state.device, is_bfloat16(recipe.precision, self._state.device)
        )

    def resume(self, folder: CheckpointFolder, resumed: Callable[[Resumed], None]) -> None:
        """Go on from the newest checkpoint in `folder` that is whole, and write further ones."""
        self._checkpoints = folder
        found = folder.newest(self._config.facts())
        if not self._ranks.agree_on(found.step if found else 0, self._state.device):
            raise RunError(f"checkpoint in {folder.path}: the ranks do not find the same one")
        if found is not None:
            self._state.load(found)
        if found is not None or folder.damaged:
            progress = self._state.progress
            resumed(
                Resumed(
                    progress.step * self._step_bytes,
                    tuple(progress.reports),
                    tuple(folder.damaged),
                )
            )

    def run(self, starts_from_weights: bool) -> Outcome:
        """All steps that are left; the outcome, not yet tested."""
        state, progress = self._state, self._state.progress
        if starts_from_weights and not progress.reports:
            self._evaluate_start()
        look_every = _STEPS_BETWEEN_LOOKS[state.device.type]
        clock = time.perf_counter()
        stopped = Stop.BUDGET
        for step in range(progress.step, self._num_steps):
            loss = self._gradients(self._batches.next_batch())
            self._optimizer.step(step)
            if state.average is not None:
                state.average.update(step + 1)
            state.loss_since_report += loss
            progress.step = step + 1
            progress.steps_since_report += 1
            if progress.step % look_every == 0 and not math.isfinite(loss.item()):
                return self._diverged("training loss not finite")
            evaluates = progress.step in self._evaluate_after
            writes = self._checkpoints is not None and self._checkpoints.due(progress.step)
            if not (evaluates or writes):
                continue
            train_loss = state.loss_since_report.item() / progress.steps_since_report
            now = time.perf_counter()
            progress.seconds_since_report += now - clock
            if not state.is_finite():
                return self._diverged("a weight not finite")
            if evaluates:
                val_loss = self._evaluator.evaluate(state.evaluated, self._splits.val).loss
                if not math.isfinite(val_loss):
                    return self._diverged("validation loss not finite")
                self._reported(train_loss, val_loss)
                if self._has_converged():
                    stopped = Stop.CONVERGED
                    break
            if writes:
                self._write_checkpoint()
            clock = time.perf_counter()
        return self._outcome(Status.DONE, stopped=stopped)

    def _evaluate_start(self) -> None:
        """The weights it starts from are its first candidate, but no reason to lose patience: a
        finetune may have to get worse before it gets better."""
        progress = self._state.progress
        val_loss = self._evaluator.evaluate(self._state.evaluated, self._splits.val).loss
        if math.isfinite(val_loss):
            progress.best_val_loss, progress.best_bytes_seen = val_loss, 0
            self._state.keep_as_best()
            progress.reports.append(Report(0, None, val_loss, None))
            self._report(progress.reports[-1])

    def _reported(self, train_loss: float, val_loss: float) -> None:
        """Report, keep the weights if they are the best so far, and begin anew to count."""
        state, progress = self._state, self._state.progress
        seen = progress.steps_since_report * self._step_bytes
        bytes_per_second = seen / progress.seconds_since_report
        bytes_seen = progress.step * self._step_bytes
        report = Report(
            bytes_seen, train_loss, val_loss, bytes_per_second, self._mfu(bytes_per_second)
        )
        progress.training_seconds += progress.seconds_since_report
        progress.reports.append(report)
        if progress.best_val_loss is None or val_loss < progress.best_val_loss:
            progress.best_val_loss, progress.best_bytes_seen = val_loss, bytes_seen
            state.keep_as_best()
        state.loss_since_report.zero_()
        progress.steps_since_report, progress.seconds_since_report = 0, 0.0
        self._report(report)

    def _has_converged(self) -> bool:
        config = self._config
        least_bytes = 0
        if config.evaluation_growth > 1:  # the data decide, once it has seen them
            least_bytes = max(config.size_bytes, LEAST_STEPS * self._step_bytes)
        return has_converged(
            self._state.progress.reports, least_bytes, config.tolerance, config.patience
        )

    def _mfu(self, bytes_per_second: float) -> float | None:
        if self._peak_flops_per_second is None:
            return None
        flops_per_second = bytes_per_second * self._config.model.training_flops_per_byte
        return flops_per_second / (self._peak_flops_per_second * self._ranks.num_ranks)

    def _write_checkpoint(self) -> None:
        assert self._checkpoints is not None
        if self._ranks.is_first:
            self._checkpoints.write(self._state.checkpoint(), self._config.facts())

    def _diverged(self, what: str) -> Outcome:
        return self._outcome(
            Status.DIVERGED,
            reason=f"{what} by step {self._state.progress.step} of {self._num_steps}",
        )

    def _outcome(
        self, status: Status, stopped: Stop | None = None, reason: str | None = None
    ) -> Outcome:
        progress = self._state.progress
        return Outcome(
            status,
            reason=reason,
            stopped=stopped,
            best_val_loss=progress.best_val_loss,
            best_bytes_seen=progress.best_bytes_seen,
            bytes_seen=progress.step * self._step_bytes,
            unfinished=unfinished(progress.reports),
            training_seconds=progress.training_seconds,
            weights=self._state.best_weights,
        )
