"""Take steps: gradients, update, average, and the accumulated loss."""

from __future__ import annotations

import torch
from torch import Tensor

from raydt.corpora.prepared.batches import Batch
from raydt.training.gpu.graph import GraphedStep
from raydt.training.state import TrainingState
from raydt.training.step import Gradients


class Stepper:
    """Takes the steps of a cell; on a GPU with batches in one piece, with a CUDA graph."""

    def __init__(
        self,
        state: TrainingState,
        gradients: Gradients,
        num_windows: int,
        window_bytes: int,
        *,
        graphs: bool = True,
    ) -> None:
        self._state = state
        self._gradients = gradients
        in_one_piece = gradients.in_one_piece(num_windows, window_bytes)
        self._graphed = (
            GraphedStep(self._whole_step, state.device)
            if graphs and in_one_piece and state.device.type == "cuda"
            else None
        )

    def step(self, step: int, batch: Batch) -> Tensor:
        """Take step number `step`, counted from 0; returns the loss, (), without waiting for a
        GPU."""
        self._state.optimizer.set_rates(step)
        if self._state.average is not None:
            self._state.average.set_share(step + 1)
        if self._graphed is not None:
            return self._graphed(batch)
        loss = self._gradients(batch)
        self._apply(loss)
        return loss

    def _whole_step(self, window_BT1: Tensor, num_ignored_B: Tensor) -> Tensor:
        loss = self._gradients.of_rows(window_BT1, num_ignored_B)
        self._apply(loss)
        return loss

    @torch.no_grad()
    def _apply(self, loss: Tensor) -> None:
        self._state.optimizer.apply()
        if self._state.average is not None:
            self._state.average.take_in()
        self._state.loss_since_report += loss
