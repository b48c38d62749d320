"""A whole training step as one CUDA graph.

A step of a small model has some hundred kernels of a few microseconds, and launching them one by
one from Python takes ten times as long as they run (docs/gpu.md). A graph launches them all at
once. Its kernels read and write the same memory at every replay, so the batch is copied to a fixed
place, and learning rates that change with the step are tensors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from raydt.corpora.prepared.batches import Batch
from raydt.training.feed import pinned, send

# Steps without a graph, in which libraries choose their kernels and allocate workspaces.
_STEPS_BEFORE_CAPTURE = 3


class GraphedStep:
    """Takes steps on batches of one shape.

    `work` does a whole step on the device, from rows (B, T + 1) uint8 and ignored targets (B,) to
    the loss, (). It must not wait for the device, nor replace a tensor that a later step reads.
    """

    def __init__(self, work: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> None:
        self._work = work
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._steps_left = _STEPS_BEFORE_CAPTURE
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, Tensor]
        self._loss: Tensor

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of `batch`, (): the same tensor at every step from the fourth on."""
        if self._steps_left:
            self._steps_left -= 1
            return self._directly(batch)
        if self._graph is None:
            self._inputs = send(batch, self._device)
            self._capture()
        else:
            for here, there in zip(self._inputs, pinned(batch), strict=True):
                here.copy_(there, non_blocking=True)
        assert self._graph is not None, "captured"
        self._graph.replay()
        return self._loss

    def _directly(self, batch: Batch) -> Tensor:
        """Run on the stream that is captured later, as torch requires."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = self._work(*send(batch, self._device))
        current.wait_stream(self._stream)
        return loss

    def _capture(self) -> None:
        """Record a step, without computing it."""
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream):
            self._loss = self._work(*self._inputs)
