"""The loss of a model on a split: every byte counted once, summed, divided once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from raydt.corpora.batches import evaluation_windows
from raydt.model.decoder import Decoder

_SEPARATOR = 0
_BYTES_AT_ONCE = 4096  # bounds the memory for logits, and stays within a CPU's cache


@dataclass(frozen=True)
class Evaluation:
    """Nats per byte over a split, and its standard error over documents."""

    loss: float
    loss_stderr: float


def byte_losses(
    model: Decoder, data: NDArray[np.uint8], device: torch.device | None = None
) -> NDArray[np.float64]:
    """Nats of each byte of `data` (n,), given what stands before it in its window; shape (n,).

    Windows do not overlap: a byte at the beginning of one is predicted from little. The same
    numbers come out for any number of windows at once, up to rounding.
    """
    window_bytes = model.config.window_bytes
    batch = evaluation_windows(data, window_bytes)
    device = device or next(model.parameters()).device
    rows_at_once = max(1, _BYTES_AT_ONCE // window_bytes)
    losses = []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(batch.windows), rows_at_once):
            rows = batch.windows[start : start + rows_at_once]
            x_BT = torch.from_numpy(rows[:, :-1].astype(np.int64)).to(device)
            y_BT = torch.from_numpy(rows[:, 1:].astype(np.int64)).to(device)
            loss_BT = F.cross_entropy(
                model(x_BT).flatten(0, 1).float(), y_BT.flatten(), reduction="none"
            ).view(y_BT.shape)
            losses.append(loss_BT.cpu().numpy())
    model.train(was_training)
    loss_NT = np.concatenate(losses)
    counted_NT = np.arange(window_bytes) >= batch.num_ignored[:, None]
    counted = loss_NT[counted_NT].astype(np.float64)
    assert len(counted) == len(data), "every byte is counted once"
    return counted


def evaluate(model: Decoder, data: NDArray[np.uint8]) -> Evaluation:
    """Loss of `model` on the bytes of a split (n,).

    The standard error treats documents as the sampling unit (ratio estimator of a cluster sample,
    Cochran 1977, section 11.8), because bytes of one document are not independent; NaN if there
    is only one.
    """
    losses = byte_losses(model, data)
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


def bits(loss: float) -> float:
    """Bits per byte of a loss in nats per byte."""
    return loss / math.log(2)
