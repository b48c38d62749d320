"""Convert a batch on the CPU to the inputs and targets of a step on the device.

Shape suffixes: B rows, T bytes of a window.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raydt.corpora.prepared.batches import Batch
from raydt.model.decoder import IGNORED_TARGET


def inputs_and_targets(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs and targets, each (B, T) int64 on `device`."""
    if device.type == "cuda":
        return split_rows(*send(batch, device))
    window_BT1 = torch.from_numpy(batch.windows.astype(np.int64))
    # A copy: with a single row the slice would be contiguous, and share memory with x.
    y_BT = window_BT1[:, 1:].clone()
    if batch.num_ignored.any():
        ignored = torch.from_numpy(batch.num_ignored)[:, None]
        y_BT[torch.arange(y_BT.shape[1]) < ignored] = IGNORED_TARGET
    return window_BT1[:, :-1].to(device), y_BT.to(device)


def pinned(batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows (B, T + 1) uint8 and their ignored targets (B,) in pinned memory."""
    return (
        torch.from_numpy(batch.windows).pin_memory(),
        torch.from_numpy(batch.num_ignored).pin_memory(),
    )


def send(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Copy rows and ignored targets to a GPU as bytes, without waiting for it."""
    windows, num_ignored = pinned(batch)
    return windows.to(device, non_blocking=True), num_ignored.to(device, non_blocking=True)


def split_rows(window_BT1: Tensor, num_ignored_B: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and targets of rows on the device, without waiting for it."""
    y_BT = window_BT1[:, 1:].long()
    place_T = torch.arange(y_BT.shape[1], device=y_BT.device)
    y_BT = y_BT.masked_fill(place_T < num_ignored_B[:, None], IGNORED_TARGET)
    return window_BT1[:, :-1].long(), y_BT
