"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

R rows, C columns of a matrix, ... any number of matrices. The formulas and constants are those of
`torch.optim.Muon`, and a test compares them; adamw.py explains why that is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic iteration
_ITERATIONS = 5
_EPSILON = 1e-7


class Muon:
    """Orthogonalised Nesterov momentum with decoupled weight decay.

    A step is scaled by sqrt(max(1, rows / columns)). The state of a matrix is `momentum_buffer`.
    Matrices whose shorter side is at least `bfloat16_rows` are orthogonalised in bfloat16, as
    published; others in float32.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        weight_decay: float,
        momentum: float = 0.95,
        bfloat16_rows: float = 0,
    ) -> None:
        self.parameters = list(matrices)
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._weight_decay = weight_decay
        self._learning_rate = 0.0
        self._momentum = momentum
        self._bfloat16_rows = bfloat16_rows

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of further steps."""
        self._learning_rate = learning_rate

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients, if there are any."""
        for matrix in self.parameters:
            if matrix.grad is not None:
                self._step(matrix, matrix.grad)

    def restore(self, parameter: Tensor, saved: Mapping[str, Tensor]) -> None:
        """Resume from a copy of the saved `state` of a matrix."""
        self.state[parameter] = {
            quantity: tensor.to(parameter.device, copy=True) for quantity, tensor in saved.items()
        }

    def _step(self, matrix: Tensor, gradient: Tensor) -> None:
        if matrix not in self.state:
            self.state[matrix] = {"momentum_buffer": torch.zeros_like(matrix)}
        momentum = self.state[matrix]["momentum_buffer"].lerp_(gradient, 1 - self._momentum)
        update = gradient.lerp(momentum, self._momentum)
        if min(update.shape) >= self._bfloat16_rows:
            update = update.bfloat16()
        rows, columns = matrix.shape
        scale = max(1, rows / columns) ** 0.5
        matrix.mul_(1 - self._learning_rate * self._weight_decay)
        matrix.add_(orthogonalized(update), alpha=-self._learning_rate * scale)


def orthogonalized(update_RC: Tensor) -> Tensor:
    """Approximately U V^T for each matrix U S V^T, by five quintic Newton-Schulz iterations.

    (..., R, C) in and out; the resulting singular values are between 0.5 and 1.5.
    """
    if update_RC.shape[-2] > update_RC.shape[-1]:  # the smaller of the two squares
        return orthogonalized(update_RC.mT).mT
    norm = torch.linalg.vector_norm(update_RC, dim=(-2, -1), keepdim=True)
    x_RC: Tensor = update_RC / norm.clamp(min=_EPSILON)
    # Each is a product and a sum in one call.
    add_product = torch.addmm if x_RC.ndim == 2 else torch.baddbmm
    for _ in range(_ITERATIONS):
        gram_RR = x_RC @ x_RC.mT
        mixed_RR = add_product(gram_RR, gram_RR, gram_RR, beta=_B, alpha=_C)
        x_RC = add_product(x_RC, mixed_RR, x_RC, beta=_A)
    return x_RC
