"""The gradients of a batch: over parts of it where memory is short, and over ranks.

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

    Whatever the number of ranks and of windows at once, they are those of the whole batch in one
    piece, up to rounding: every target weighs the same, also where rows ignore some. On a GPU the
    windows at once are found by measuring, unless the recipe says them (`windows_at_once`; None: as
    many as there are).
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
            # Buffers are constants, the same on all ranks.
            self._loss = DistributedDataParallel(self._on_one_rank, broadcast_buffers=False)

    def __call__(self, batch: Batch) -> Tensor:
        """The loss over the global batch in nats per byte, without waiting for a GPU to have it.

        `batch` holds this rank's rows. Raises `BatchTooLargeError` where memory does not suffice,
        saying how many windows at once would fit.
        """
        while True:
            try:
                return self._add_gradients(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback holds on to what did not fit.
            if not self._takes_fewer(batch):
                raise self._what_fits(batch)

    def of_rows(self, window_BT1: Tensor, num_ignored_B: Tensor) -> Tensor:
        """The same for rows uint8 and ignored targets that are on the GPU, in one piece and for
        one rank."""
        loss: Tensor = self._loss(*split_rows(window_BT1, num_ignored_B), "mean")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def in_one_piece(self, num_windows: int, window_bytes: int) -> bool:
        """Whether a batch of so many windows on this rank is taken at once, by one rank alone.

        Measures on a GPU, where the recipe does not say: call it before the first step.
        """
        if self.windows_at_once is None and self._on_gpu:
            self.windows_at_once = self._measured(num_windows, window_bytes)
        return self._ranks.num_ranks == 1 and num_windows <= (self.windows_at_once or num_windows)

    def compile(self, what: What) -> None:
        """Have further steps computed by compiled code."""
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
        # Each part's sum is divided by the targets of the global batch; what DDP takes is the mean
        # over ranks of what should be their sum.
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
        """Ranks add their gradients up after the last part alone."""
        if isinstance(self._loss, DistributedDataParallel):
            return self._loss.no_sync()
        return nullcontext()

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return inputs_and_targets(batch, self._device)

    def _measured(self, num_windows: int, window_bytes: int) -> int:
        """Windows at once by the memory that a few take; the fewest that any rank found."""

        def peak_bytes(num_windows: int) -> int:
            x_BT = torch.ones(num_windows, window_bytes, dtype=torch.long, device=self._device)
            return peak_bytes_of(lambda: self._pass_over(x_BT, x_BT), self._device)

        # Gradients and what the optimiser keeps are not there yet.
        parameters = sum(p.numel() * p.element_size() for p in self._model.parameters())
        free = free_bytes(self._device) - 4 * parameters
        try:
            found = windows_at_once(peak_bytes, free, num_windows, window_bytes)
        except torch.OutOfMemoryError:
            found = 1
        self._model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return self._ranks.fewest(found, self._device)

    def _pass_over(self, x_BT: Tensor, y_BT: Tensor) -> None:
        """Forward and backward, on this rank alone."""
        loss = _Loss(self._model, self._recipe, self._device)(x_BT, y_BT, "sum")
        loss.backward()

    def _takes_fewer(self, batch: Batch) -> bool:
        """Whether the batch may be tried again in smaller parts.

        On a GPU whose neighbours have taken more since it was measured. Not of several ranks:
        others may be waiting within the step. Not on a CPU, where a cell that is resumed takes the
        same parts, to end with the same bits.
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
        """For a batch that did not fit, what would: found by trying halves of it."""
        rows, window_bytes = batch.windows.shape[0], batch.windows.shape[1] - 1
        failed = min(rows, self.windows_at_once or rows)
        fits = failed // 2
        while fits and not self._fits(batch, fits):
            fits //= 2
        what = f"{failed} windows of {window_bytes} bytes at once do not fit in memory"
        if fits:
            # Room is left for what the optimiser has yet to allocate.
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
            for _ in range(2):  # the second adds to gradients that are there
                self._pass_over(*self._tensors(few))
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True


class _Loss(nn.Module):
    """The loss of a model as a module of its own, for torch's DDP to wrap."""

    def __init__(self, model: Decoder, recipe: Recipe, device: torch.device) -> None:
        super().__init__()
        self._model = model
        self._recipe = recipe
        self._device = device

    def forward(self, x_BT: Tensor, y_BT: Tensor, reduction: str) -> Tensor:
        with autocast(self._recipe.precision, self._device):
            return self._model.loss(x_BT, y_BT, reduction, self._recipe.z_loss)


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
        yield Batch(batch.windows[start:stop], batch.num_ignored[start:stop], batch.num_targets)
        start = stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on a GPU or a CPU, says that there is no memory left."""
    # On a CPU torch raises a plain RuntimeError; the last is what its oneDNN says.
    known = "DefaultCPUAllocator", "can't allocate memory", "could not create a primitive"
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in known
    )
