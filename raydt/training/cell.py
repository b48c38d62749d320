"""The training loop of one cell: steps, evaluations and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from raydt.config.compiling import what_compiles
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.errors import RunError
from raydt.model.decoder import Decoder
from raydt.tracking.schema import Status, Stop
from raydt.training.average import WeightAverage
from raydt.training.checkpoints.folder import CheckpointFolder
from raydt.training.config import Splits, TrainConfig
from raydt.training.ending import MIN_STEPS, evaluation_steps, has_converged, unfinished
from raydt.training.evaluate import Evaluator
from raydt.training.optimizer.combined import Optimizer
from raydt.training.outcome import Outcome, Report, Resumed
from raydt.training.precision import is_bfloat16
from raydt.training.ranks import Ranks
from raydt.training.state import TrainingState
from raydt.training.step import Gradients
from raydt.training.stepper import Stepper
from raydt.training.throughput import peaks_of

# Reading the loss waits for the GPU, so it is not checked after every step there.
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 100}


class CellTraining:
    """The steps, evaluations and checkpoints of a training cell."""

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
            self._num_steps,
            self._step_bytes,
            config.size_bytes,
            config.evaluation_growth,
            config.evaluations,
        )
        self._batches = WindowBatches(
            splits.train, window_bytes, batch_windows, config.seed, ranks.rank, ranks.num_ranks
        )
        optimizer = Optimizer(model, recipe, self._num_steps)
        average = WeightAverage(model, recipe.average_power) if recipe.average == "power" else None
        self._state = TrainingState(model, optimizer, self._batches, average)
        gradients = Gradients(model, recipe, ranks)
        rank_windows = batch_windows // ranks.num_ranks
        self._stepper = Stepper(self._state, gradients, rank_windows, window_bytes)
        # Compile only now: the number of windows that fit is measured on uncompiled code.
        on_gpu = self._state.device.type == "cuda"
        gradients.compile(what_compiles(recipe, config.size_bytes, config.model, on_gpu))
        self._checkpoints: CheckpointFolder | None = None
        self._peaks = peaks_of(
            self._state.device, is_bfloat16(recipe.precision, self._state.device)
        )

    def resume(self, folder: CheckpointFolder, resumed: Callable[[Resumed], None]) -> None:
        """Resume from the newest complete checkpoint in `folder`, and write further ones there."""
        self._checkpoints = folder
        found = folder.newest(self._config.facts())
        if not self._ranks.agree_on(found.step if found else 0, self._state.device):
            raise RunError(f"checkpoint in {folder.path}: the ranks found different ones")
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
        """Run the remaining steps; returns the outcome, without a test."""
        state, progress = self._state, self._state.progress
        if starts_from_weights and not progress.reports:
            self._evaluate_start()
        look_every = _STEPS_BETWEEN_CHECKS[state.device.type]
        clock = time.perf_counter()
        stopped = Stop.BUDGET
        for step in range(progress.step, self._num_steps):
            loss = self._stepper.step(step, self._batches.next_batch())
            progress.step = step + 1
            progress.steps_since_report += 1
            looks = progress.step % look_every == 0
            if looks and not math.isfinite(loss.item()):
                return self._diverged("training loss not finite")
            evaluates = progress.step in self._evaluate_after
            writes = self._writes(looks)
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

    def _writes(self, looks: bool) -> bool:
        """Whether to write a checkpoint now, the same on all ranks: clocks differ, so the first
        rank decides, at steps where all check."""
        if self._checkpoints is None:
            return False
        if self._ranks.num_ranks == 1:
            return self._checkpoints.due(self._state.progress.step)
        is_due = self._ranks.is_first and self._checkpoints.due(self._state.progress.step)
        return looks and self._ranks.any(is_due, self._state.device)

    def _evaluate_start(self) -> None:
        """Evaluate the initial weights as the first candidate. They do not count for patience,
        because a finetune may get worse before it gets better."""
        progress = self._state.progress
        val_loss = self._evaluator.evaluate(self._state.evaluated, self._splits.val).loss
        if math.isfinite(val_loss):
            progress.best_val_loss, progress.best_bytes_seen = val_loss, 0
            self._state.keep_as_best()
            progress.reports.append(Report(0, None, val_loss, None))
            self._report(progress.reports[-1])

    def _reported(self, train_loss: float, val_loss: float) -> None:
        """Report, keep the weights if they are the best so far, and reset the counters."""
        state, progress = self._state, self._state.progress
        seen = progress.steps_since_report * self._step_bytes
        bytes_per_second = seen / progress.seconds_since_report
        bytes_seen = progress.step * self._step_bytes
        report = Report(
            bytes_seen,
            train_loss,
            val_loss,
            bytes_per_second,
            mfu=self._share(bytes_per_second, self._peaks.data_sheet),
            mfu_of_matmul=self._share(bytes_per_second, self._peaks.matmul),
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
        min_bytes = 0
        if config.evaluation_growth > 1:  # it must have seen its data once
            min_bytes = max(config.size_bytes, MIN_STEPS * self._step_bytes)
        return has_converged(
            self._state.progress.reports, min_bytes, config.tolerance, config.patience
        )

    def _share(self, bytes_per_second: float, peak_flops_per_second: float | None) -> float | None:
        """The model's FLOP/s as a share of the peak of all ranks' GPUs."""
        if peak_flops_per_second is None:
            return None
        flops_per_second = bytes_per_second * self._config.model.training_flops_per_byte
        return flops_per_second / (peak_flops_per_second * self._ranks.num_ranks)

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
