"""AdamW and Muon in few kernels that a CUDA graph can record.

Learning rates are tensors () on the device, so that a recorded graph works for every step. The
formulas are those of adamw.py and muon.py; tests compare them.

G matrices of one shape, R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from raydt.training.optimizer.muon import Muon, orthogonalized

_EPSILON = 1e-8


class FusedAdamW:
    """torch's own AdamW, one kernel for all parameters; the rate is a tensor."""

    def __init__(
        self, parameters: Iterable[Tensor], betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.parameters = list(parameters)
        self._rate = torch.zeros((), device=self.parameters[0].device)
        self._adamw = torch.optim.AdamW(
            self.parameters,
            self._rate,
            betas,
            _EPSILON,
            weight_decay,
            fused=True,
            capturable=True,
        )
        self.state: dict[Tensor, dict[str, Tensor]] = self._adamw.state

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of further steps, including those of a recorded graph."""
        self._rate.fill_(learning_rate)

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients, if there are any."""
        self._adamw.step()

    def restore(self, parameter: Tensor, saved: Mapping[str, Tensor]) -> None:
        """Resume from the saved `state` of a parameter."""
        self.state[parameter] = {
            quantity: tensor.to(parameter.device, copy=True) for quantity, tensor in saved.items()
        }


class StackedMuon(Muon):
    """Muon for all matrices of one shape at a time, with batched products."""

    def __init__(
        self, matrices: Iterable[Tensor], weight_decay: float, *, bfloat16_rows: float = 0
    ) -> None:
        super().__init__(matrices, weight_decay, bfloat16_rows=bfloat16_rows)
        self._rate = torch.zeros((), device=self.parameters[0].device)
        shapes: dict[torch.Size, list[Tensor]] = {}
        for matrix in self.parameters:
            shapes.setdefault(matrix.shape, []).append(matrix)
        self._groups = [
            (group, torch.zeros(len(group), *shape, device=group[0].device))
            for shape, group in shapes.items()
        ]

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of further steps, including those of a recorded graph."""
        self._rate.fill_(learning_rate)

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients; every matrix has one."""
        for group, momentum_GRC in self._groups:
            if group[0] not in self.state:
                self._begin(group, momentum_GRC)
            gradient_GRC = torch.stack([_gradient_of(matrix) for matrix in group])
            momentum_GRC.lerp_(gradient_GRC, 1 - self._momentum)
            update_GRC = gradient_GRC.lerp_(momentum_GRC, self._momentum)
            rows, columns = group[0].shape
            if min(rows, columns) >= self._bfloat16_rows:
                update_GRC = update_GRC.bfloat16()
            scale = -self._rate * max(1, rows / columns) ** 0.5
            change_GRC = orthogonalized(update_GRC).float() * scale
            torch._foreach_mul_(group, 1 - self._rate * self._weight_decay)
            torch._foreach_add_(group, list(change_GRC.unbind()))

    def restore(self, parameter: Tensor, saved: Mapping[str, Tensor]) -> None:
        """Resume from the saved `state` of a matrix."""
        for group, momentum_GRC in self._groups:
            for matrix, buffer in zip(group, momentum_GRC, strict=True):
                if matrix is parameter:
                    buffer.copy_(saved["momentum_buffer"])
                    self.state[matrix] = {"momentum_buffer": buffer}

    def _begin(self, group: list[Tensor], momentum_GRC: Tensor) -> None:
        for matrix, buffer in zip(group, momentum_GRC, strict=True):
            self.state[matrix] = {"momentum_buffer": buffer}


def _gradient_of(matrix: Tensor) -> Tensor:
    assert matrix.grad is not None, "every hidden matrix is used"
    return matrix.grad
