"""The end of the default family, stream to cross-entropy, with its gradient by hand.

Shape suffixes: B windows, T bytes of a window, N = B T, D width, V vocabulary.

The gradient of the logits is softmax less one-hot: it is made in forward, where the softmax is at
hand, and no array of log-probabilities ever is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydt.model.by_hand import apply
from raydt.model.layer_norm import layer_norm, layer_norm_backward

IGNORED_TARGET = -100  # a target that is not counted


def head_loss(
    x_BTD: Tensor,
    norm_D: Tensor,
    head_VD: Tensor,
    y_BT: Tensor,
    *,
    mean: bool,
    z_loss: float,
    dtype: torch.dtype,
) -> Tensor:
    """Mean or sum of the cross-entropy over the targets that count, in nats; a scalar.

    The product is in `dtype`, the softmax of bfloat16 in float32. See `Decoder.loss` for `z_loss`.
    """
    loss: Tensor = apply(
        _HeadLoss, x_BTD, norm_D, head_VD, y_BT.reshape(-1, 1), mean, z_loss, dtype
    )
    return loss


class _HeadLoss(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BTD: Tensor,
        norm_D: Tensor,
        head_VD: Tensor,
        y_N1: Tensor,
        mean: bool,
        z_loss: float,
        dtype: torch.dtype,
    ) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD, center, inverse_std = layer_norm(x_BTD, norm_D)
        n_ND, head_VD = n_BTD.view(B * T, D).to(dtype), head_VD.to(dtype)
        logits_NV = torch.mm(n_ND, head_VD.T)
        if dtype == torch.bfloat16:
            logits_NV = logits_NV.float()
        grad_NV = logits_NV.softmax(dim=1)
        # The largest probability is at least 1 / V: its logarithm is exact where that of a
        # target's may have underflown.
        log_z_N1 = logits_NV.amax(1, keepdim=True) - grad_NV.amax(1, keepdim=True).log()
        counted_N1 = y_N1.ne(IGNORED_TARGET)
        all_count = bool(counted_N1.all())
        target_N1 = y_N1 if all_count else y_N1.where(counted_N1, 0)
        loss_N1 = log_z_N1 - logits_NV.gather(1, target_N1)
        if z_loss:
            grad_NV *= 1 + 2 * z_loss * log_z_N1
        grad_NV.scatter_add_(1, target_N1, torch.full_like(loss_N1, -1))
        count = len(y_N1)
        if not all_count:
            loss_N1 *= counted_N1
            grad_NV *= counted_N1
            count = int(counted_N1.sum())
        ctx.save_for_backward(x_BTD, center, inverse_std, norm_D, n_ND, head_VD, grad_NV)
        ctx.divisor = count if mean else 1
        loss: Tensor = loss_N1.sum() / ctx.divisor
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_BTD, center, inverse_std, norm_D, n_ND, head_VD, grad_NV = ctx.saved_tensors
        B, T, D = x_BTD.shape
        grad_NV, scale = grad_NV.to(n_ND.dtype), grad / ctx.divisor
        grad_head = torch.mm(grad_NV.T, n_ND).to(x_BTD.dtype) * scale
        grad_n = (torch.mm(grad_NV, head_VD).to(x_BTD.dtype) * scale).view(B, T, D)
        grad_x, grad_norm = layer_norm_backward(grad_n, x_BTD, norm_D, center, inverse_std)
        return grad_x, grad_norm, grad_head, None, None, None, None
