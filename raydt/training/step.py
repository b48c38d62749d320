"""The gradients of a batch, accumulated over parts if memory is short, and over ranks.

Shape suffixes: B rows, T bytes of a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raydt.config.compiling import What
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import Batch
from raydt.errors import BatchTooLargeError
from raydt.model.decoder import Decoder
from raydt.training.feed import inputs_and_targets, split_rows
from raydt.training.gpu.memory import free_bytes, peak_bytes_of, windows_at_once
from raydt.training.precision import autocast
from raydt.training.ranks import Ranks


class Gradients:
    """Sets the gradients of the mean loss over a global batch.

    For any number of ranks and parts, they are those of the whole batch, up to rounding: every
    target has the same weight, even if rows ignore some. On a GPU the windows per part are found by
    measuring, unless the recipe sets them (`windows_at_once`; None: the whole batch).
    """

    def __init__(self, model: Decoder, recipe: Recipe, ranks: Ranks | None = None) -> None:
        self._model = model
        self._recipe = recipe
        self._ranks = ranks or Ranks()
        self._device = next(model.parameters()).device
        self._on_gpu = self._device.type == "cuda"
        self.windows_at_once = recipe.max_windows_at_once
        self._on_one_rank = _Loss(model, recipe, self._device)
        self._loss: nn.Module = self._on_one_rank
        if self._ranks.num_ranks > 1:
            # Buffers are constants, equal on all ranks.
            self._loss = DistributedDataParallel(self._on_one_rank, broadcast_buffers=False)

    def __call__(self, batch: Batch) -> Tensor:
        """The loss over the global batch in nats per byte, without waiting for the GPU.

        `batch` has this rank's rows. Raises `BatchTooLargeError` if memory runs out, with the
        number of windows that would fit.
        """
        while True:
            try:
                return self._add_gradients(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback keeps the tensors that did not fit alive.
            if not self._takes_fewer(batch):
                raise self._what_fits(batch)

    def of_rows(self, window_BT1: Tensor, num_ignored_B: Tensor) -> Tensor:
        """The same for rows (uint8) and ignored targets on the GPU, in one piece and with one
        rank."""
        loss: Tensor = self._loss(*split_rows(window_BT1, num_ignored_B), "mean")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def in_one_piece(self, num_windows: int, window_bytes: int) -> bool:
        """Whether a batch of `num_windows` is processed in one piece by a single rank.

        Measures on a GPU, unless the recipe sets it: call it before the first step.
        """
        if self.windows_at_once is None and self._on_gpu:
            self.windows_at_once = self._measured(num_windows, window_bytes)
        return self._ranks.num_ranks == 1 and num_windows <= (self.windows_at_once or num_windows)

    def compile(self, what: What) -> None:
        """Use compiled code for further steps."""
        if what == "blocks":
            self._model.compile_blocks()
        elif what == "model":
            self._on_one_rank.compile()

    def _add_gradients(self, batch: Batch) -> Tensor:
        parts = list(_parts(batch, self.windows_at_once))
        if len(parts) == 1 and self._ranks.num_ranks == 1:
            loss: Tensor = self._loss(*self._tensors(batch), "mean")
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        # Each part's sum is divided by the targets of the global batch; DDP averages over ranks,
        # where the sum is needed.
        share = self._ranks.num_ranks / batch.num_targets
        total = torch.zeros((), device=self._device)
        for number, part in enumerate(parts, start=1):
            with nullcontext() if number == len(parts) else self._unsynchronised():
                loss = self._loss(*self._tensors(part), "sum") * share
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self._ranks.add_up(total)
        return total / self._ranks.num_ranks

    def _unsynchronised(self) -> AbstractContextManager[None]:
        """Ranks synchronise gradients only after the last part."""
        if isinstance(self._loss, DistributedDataParallel):
            return self._loss.no_sync()
        return nullcontext()

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return inputs_and_targets(batch, self._device)

    def _measured(self, num_windows: int, window_bytes: int) -> int:
        """Windows per part by the memory that a few take; the minimum over ranks."""

        def peak_bytes(num_windows: int) -> int:
            x_BT = torch.ones(num_windows, window_bytes, dtype=torch.long, device=self._device)
            return peak_bytes_of(lambda: self._pass_over(x_BT, x_BT), self._device)

        # Gradients and the optimiser's state are not allocated yet.
        parameters = sum(p.numel() * p.element_size() for p in self._model.parameters())
        free = free_bytes(self._device) - 4 * parameters
        try:
            found = windows_at_once(peak_bytes, free, num_windows, window_bytes)
        except torch.OutOfMemoryError:
            found = 1
        self._model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return self._ranks.min(found, self._device)

    def _pass_over(self, x_BT: Tensor, y_BT: Tensor) -> None:
        """Forward and backward pass, on this rank only."""
        loss = _Loss(self._model, self._recipe, self._device)(x_BT, y_BT, "sum")
        loss.backward()

    def _takes_fewer(self, batch: Batch) -> bool:
        """Whether the batch may be retried in smaller parts.

        Only on a GPU, whose other processes may use more memory than when it was measured. Not with
        several ranks, because others may be waiting inside the step. Not on a CPU, where a resumed
        cell must use the same parts to give the same bits.
        """
        if not self._on_gpu or self._ranks.num_ranks > 1:
            return False
        at_once = min(batch.windows.shape[0], self.windows_at_once or batch.windows.shape[0])
        if at_once == 1:
            return False
        self.windows_at_once = at_once // 2
        self._model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return True

    def _what_fits(self, batch: Batch) -> BatchTooLargeError:
        """The error for a batch that did not fit, with what would fit, found by trying halves."""
        rows, window_bytes = batch.windows.shape[0], batch.windows.shape[1] - 1
        failed = min(rows, self.windows_at_once or rows)
        fits = failed // 2
        while fits and not self._fits(batch, fits):
            fits //= 2
        what = f"{failed} windows of {window_bytes} bytes at once do not fit in memory"
        if fits:
            # Leave room for the optimiser's state.
            fits = max(1, fits // 2)
            message = f"{what}; max_windows_at_once = {fits} does, and gives the same result"
            return BatchTooLargeError(message, fits)
        return BatchTooLargeError(
            f"{what}: even one window does not fit: use a smaller model or more memory"
        )

    def _fits(self, batch: Batch, num_windows: int) -> bool:
        self._model.zero_grad(set_to_none=True)
        if self._on_gpu:
            torch.cuda.empty_cache()
        few = Batch(batch.windows[:num_windows], batch.num_ignored[:num_windows], 1)
        try:
            for _ in range(2):  # the second pass adds to existing gradients
                self._pass_over(*self._tensors(few))
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True


class _Loss(nn.Module):
    """The loss of a model as a module, which torch's DDP can wrap."""

    def __init__(self, model: Decoder, recipe: Recipe, device: torch.device) -> None:
        super().__init__()
        self._model = model
        self._recipe = recipe
        self._device = device

    def forward(self, x_BT: Tensor, y_BT: Tensor, reduction: str) -> Tensor:
        with autocast(self._recipe.precision, self._device):
            return self._model.loss(x_BT, y_BT, reduction, self._recipe.z_loss)


def train_step(model: Decoder, batch: Batch) -> Tensor:
    """Forward and backward pass of one batch in one piece; returns the loss."""
    return Gradients(model, _PLAIN)(batch)


_PLAIN = Recipe()


def _parts(batch: Batch, max_windows_at_once: int | None) -> Iterator[Batch]:
    """`batch` in parts that differ by at most one row."""
    rows = batch.windows.shape[0]
    num_parts = -(-rows // min(rows, max_windows_at_once or rows))
    start = 0
    for index in range(num_parts):
        stop = rows * (index + 1) // num_parts
        yield Batch(batch.windows[start:stop], batch.num_ignored[start:stop], batch.num_targets)
        start = stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, on a GPU or a CPU, means that memory ran out."""
    # On a CPU torch raises a plain RuntimeError; the last text is that of oneDNN.
    known = "DefaultCPUAllocator", "can't allocate memory", "could not create a primitive"
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in known
    )
