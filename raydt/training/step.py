"""The gradients of a batch: over parts of it where memory is short, and over ranks.

Shape suffixes: B rows, T bytes of a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import Batch
from raydt.errors import NoRoomError
from raydt.model.decoder import IGNORED_TARGET, Decoder
from raydt.training.precision import autocast
from raydt.training.ranks import Ranks


class Gradients:
    """Sets the gradients of the mean loss over a global batch.

    Whatever the number of ranks and of windows at once, they are those of the whole batch in one
    piece, up to rounding: every target weighs the same, also where rows ignore some.
    """

    def __init__(self, model: Decoder, recipe: Recipe, ranks: Ranks | None = None) -> None:
        self._model = model
        self._recipe = recipe
        self._ranks = ranks or Ranks()
        self._device = next(model.parameters()).device
        self._loss = torch.compile(self._eager_loss) if recipe.compile else self._eager_loss

    def __call__(self, batch: Batch) -> Tensor:
        """The loss over the global batch in nats per byte, without waiting for a GPU to have it.

        `batch` holds this rank's rows. Raises `NoRoomError` where memory does not suffice,
        saying how many windows at once would fit.
        """
        try:
            return self._add_gradients(batch, self._recipe.max_windows_at_once)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        # Outside of the handler, whose traceback holds on to what did not fit.
        raise self._what_fits(batch)

    def _add_gradients(self, batch: Batch, max_windows_at_once: int | None) -> Tensor:
        parts = list(_parts(batch, max_windows_at_once))
        if len(parts) == 1 and self._ranks.num_ranks == 1:
            loss = self._loss(*self._tensors(batch), "mean")
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        # Sums over targets are divided by what a batch of full rows has, to be of the size of a
        # mean, and after all are added up corrected to what it does have.
        all_targets = batch.windows.shape[0] * (batch.windows.shape[1] - 1)
        sums = torch.zeros(2, device=self._device)  # of losses and of targets
        for part in parts:
            loss = self._loss(*self._tensors(part), "sum")
            (loss / all_targets).backward()
            sums[0] += loss.detach()
            sums[1] += float(part.windows.shape[0] * (part.windows.shape[1] - 1))
            sums[1] -= float(part.num_ignored.sum())
        gradients = [p.grad for p in self._model.parameters() if p.grad is not None]
        if self._ranks.num_ranks > 1:
            flat = torch.cat([sums, *(gradient.flatten() for gradient in gradients)])
            self._ranks.add_up(flat)
            sums = flat[:2]
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, summed in zip(gradients, torch.split(flat[2:], sizes), strict=True):
                gradient.copy_(summed.view_as(gradient))
        correction = all_targets / sums[1]
        for gradient in gradients:
            gradient *= correction
        return sums[0] / sums[1]

    def _eager_loss(self, x_BT: Tensor, y_BT: Tensor, reduction: str) -> Tensor:
        with autocast(self._recipe.precision, self._device):
            return self._model.loss(x_BT, y_BT, reduction, self._recipe.z_loss)

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Inputs and targets (B, T) on the device."""
        window_BT1 = torch.from_numpy(batch.windows.astype(np.int64))
        # A copy: of a single row the slice would be contiguous already, and share memory with x.
        y_BT = window_BT1[:, 1:].clone()
        if batch.num_ignored.any():
            ignored = torch.from_numpy(batch.num_ignored)[:, None]
            y_BT[torch.arange(y_BT.shape[1]) < ignored] = IGNORED_TARGET
        return window_BT1[:, :-1].to(self._device), y_BT.to(self._device)

    def _what_fits(self, batch: Batch) -> NoRoomError:
        """For a batch that did not fit, what would: found by trying halves of it."""
        rows, window_bytes = batch.windows.shape[0], batch.windows.shape[1] - 1
        failed = min(rows, self._recipe.max_windows_at_once or rows)
        fits = failed // 2
        while fits and not self._fits(batch, fits):
            fits //= 2
        what = f"{failed} windows of {window_bytes} bytes at once do not fit in memory"
        if fits:
            # Room is left for what the optimiser has yet to allocate.
            fits = max(1, fits // 2)
            message = f"{what}; max_windows_at_once = {fits} does, and gives the same result"
            return NoRoomError(message, fits)
        return NoRoomError(
            f"{what}: even one window does not fit: use a smaller model or more memory"
        )

    def _fits(self, batch: Batch, num_windows: int) -> bool:
        self._model.zero_grad(set_to_none=True)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        few = Batch(batch.windows[:num_windows], batch.num_ignored[:num_windows])
        try:
            for _ in range(2):  # the second adds to gradients that are there
                loss = self._eager_loss(*self._tensors(few), "sum")
                loss.backward()  # type: ignore[no-untyped-call]
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            return False
        return True


def train_step(model: Decoder, batch: Batch) -> Tensor:
    """Forward and backward of one batch in one piece; the loss."""
    return Gradients(model, _PLAIN)(batch)


_PLAIN = Recipe()


def _parts(batch: Batch, max_windows_at_once: int | None) -> Iterator[Batch]:
    """`batch` in parts that differ by a row at most."""
    rows = batch.windows.shape[0]
    num_parts = -(-rows // min(rows, max_windows_at_once or rows))
    start = 0
    for index in range(num_parts):
        stop = rows * (index + 1) // num_parts
        yield Batch(batch.windows[start:stop], batch.num_ignored[start:stop])
        start = stop


def _is_out_of_memory(error: BaseException) -> bool:
    # On a CPU torch raises a plain RuntimeError; the last is what its oneDNN says.
    known = "DefaultCPUAllocator", "can't allocate memory", "could not create a primitive"
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in known
    )
