"""The loss of a model on a split, in which every byte counts exactly once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from raydt.corpora.prepared.batches import EvaluationWindows
from raydt.model.decoder import Decoder
from raydt.training.precision import Precision, autocast
from raydt.training.ranks import Ranks

_SEPARATOR = 0
# Bounds the memory for logits. On a CPU they fit into its cache.
_BYTES_AT_ONCE = {"cpu": 4096, "cuda": 2**18}


@dataclass(frozen=True)
class Evaluation:
    """Nats per byte over a split, and its standard error over documents."""

    loss: float
    loss_stderr: float


@dataclass(frozen=True)
class Evaluator:
    """How splits are evaluated. Except for `stride_bytes`, the settings change losses only by
    rounding, and the number of ranks not at all.

    Without a stride windows do not overlap, so a byte at the beginning of a window has little
    context. With a stride s, each byte after the first window has at least T - s bytes of context
    in its window T, for T / s times the cost (`raydt.config.protocol.forwarded_bytes`); a stride of
    1 gives each byte the maximal context.
    """

    stride_bytes: int | None = None
    bytes_at_once: int | None = None
    precision: Precision = "auto"
    ranks: Ranks = Ranks()  # noqa: RUF009 (frozen)

    def byte_losses(self, model: Decoder, data: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The loss in nats of each byte of `data` (n,), given its context in the window; (n,)."""
        window_bytes = model.config.window_bytes
        device = next(model.parameters()).device
        windows = EvaluationWindows(data, window_bytes, self.stride_bytes)
        at_once = self.bytes_at_once or _BYTES_AT_ONCE[device.type]
        rows_at_once = max(1, at_once // window_bytes)
        # Ranks share the same pieces that one rank would use, so they compute identical numbers.
        first, step = self.ranks.rank * rows_at_once, self.ranks.num_ranks * rows_at_once
        loss_N = np.zeros(len(data))
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            for start in range(first, len(windows), step):
                batch = windows.rows(start, min(start + rows_at_once, len(windows)))
                row_BT1 = torch.from_numpy(batch.windows).to(device).long()
                loss_BT = self._losses(model, row_BT1)
                counted_BT = np.arange(window_bytes) >= batch.num_ignored[:, None]
                counted = loss_BT.numpy()[counted_BT]
                at = windows.first_target(start)
                loss_N[at : at + len(counted)] = counted
        model.train(was_training)
        if self.ranks.num_ranks > 1:
            summed = torch.from_numpy(loss_N).to(device)
            self.ranks.add_up(summed)
            loss_N = summed.cpu().numpy()
        return loss_N

    def _losses(self, model: Decoder, row_BT1: Tensor) -> Tensor:
        """The loss in nats of each target of rows, (B, T) on the CPU; a GPU that runs out of memory
        takes the rows in halves."""
        try:
            with autocast(self.precision, row_BT1.device):
                logits_BTV = model(row_BT1[:, :-1])
            y_BT = row_BT1[:, 1:]
            loss_N = F.cross_entropy(
                logits_BTV.flatten(0, 1).float(), y_BT.flatten(), reduction="none"
            )
            return loss_N.view(y_BT.shape).cpu()
        except torch.OutOfMemoryError:
            if len(row_BT1) == 1:
                raise
        # Outside of the handler, whose traceback keeps the tensors that did not fit alive.
        torch.cuda.empty_cache()
        return torch.cat([self._losses(model, half) for half in row_BT1.tensor_split(2)])

    def evaluate(self, model: Decoder, data: NDArray[np.uint8]) -> Evaluation:
        """Loss of `model` on the bytes of a split (n,).

        The standard error treats documents as the sampling unit (ratio estimator of a cluster
        sample, Cochran 1977, section 11.8), because bytes of one document are not independent;
        NaN if there is only one.
        """
        losses = self.byte_losses(model, data)
        mean = losses.mean()
        ends = np.flatnonzero(np.asarray(data[:-1]) == _SEPARATOR) + 1
        starts = np.concatenate([[0], ends])
        sums = np.add.reduceat(losses, starts)
        lengths = np.diff(np.append(starts, len(losses)))
        num_documents = len(starts)
        if num_documents < 2:
            return Evaluation(float(mean), float("nan"))
        residual = sums - mean * lengths
        variance = (residual**2).sum() * num_documents / (num_documents - 1)
        return Evaluation(float(mean), float(np.sqrt(variance) / len(losses)))


def byte_losses(model: Decoder, data: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The loss in nats of each byte of `data` (n,), in non-overlapping windows; shape (n,)."""
    return Evaluator().byte_losses(model, data)


def evaluate(model: Decoder, data: NDArray[np.uint8]) -> Evaluation:
    """Loss of `model` on the bytes of a split (n,), in non-overlapping windows."""
    return Evaluator().evaluate(model, data)


def bits(loss: float) -> float:
    """Convert a loss from nats per byte to bits per byte."""
    return loss / math.log(2)
