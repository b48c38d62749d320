"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon), all matrices of a shape at once.

N matrices of a shape, R rows, C columns, R <= C: tall ones lie on their side.

The formulas and constants are those of `torch.optim.Muon`, which goes through the matrices one by
one: of a small model the calls cost more than the products. A test holds the two together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic iteration
_ITERATIONS = 5
_EPSILON = 1e-7


class BatchedMuon:
    """Nesterov momentum, made orthogonal, with decoupled weight decay.

    A step is scaled by sqrt(max(1, rows / columns)). The state of a matrix is `momentum_buffer`.
    Matrices whose shorter side has `bfloat16_rows` or more are made orthogonal in bfloat16, as
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
        self._momentum = momentum
        self._bfloat16_rows = bfloat16_rows

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Apply the gradients, where there are any."""
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for matrix in self.parameters:
            if matrix.grad is not None:
                by_shape[min(matrix.shape), max(matrix.shape)].append(matrix)
        for matrices in by_shape.values():
            self._step(matrices, learning_rate)

    def _step(self, matrices: list[Tensor], learning_rate: float) -> None:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if matrix not in self.state:
                self.state[matrix] = {"momentum_buffer": torch.zeros_like(matrix)}
        buffers = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(buffers, gradients, 1 - self._momentum)
        updates = torch._foreach_lerp(gradients, buffers, self._momentum)
        wide_NRC = torch.stack([u if _is_wide(u) else u.T for u in updates])
        if wide_NRC.shape[1] >= self._bfloat16_rows:
            wide_NRC = wide_NRC.bfloat16()
        orthogonal = orthogonalized(wide_NRC).to(matrices[0].dtype).unbind()
        torch._foreach_mul_(matrices, 1 - learning_rate * self._weight_decay)
        for matrix, update in zip(matrices, orthogonal, strict=True):
            rows, columns = matrix.shape
            scale = max(1, rows / columns) ** 0.5
            matrix.add_(update if _is_wide(matrix) else update.T, alpha=-learning_rate * scale)


def orthogonalized(update_NRC: Tensor) -> Tensor:
    """U V^T, roughly, of each matrix U S V^T: five steps of a quintic Newton-Schulz iteration.

    (N, R, C) in and out; singular values end between 0.5 and 1.5.
    """
    x_NRC: Tensor = update_NRC / update_NRC.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)
    for _ in range(_ITERATIONS):
        gram_NRR = x_NRC @ x_NRC.mT
        mixed_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=_B, alpha=_C)
        x_NRC = torch.baddbmm(x_NRC, mixed_NRR, x_NRC, beta=_A)
    return x_NRC


def _is_wide(matrix: Tensor) -> bool:
    return matrix.shape[0] <= matrix.shape[1]
