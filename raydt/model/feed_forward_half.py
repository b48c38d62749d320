"""The second half of a block of the default family with its gradient by hand.

Shape suffixes: B windows, T bytes of a window, N = B T, D width, F hidden.

x + out(relu(in(norm(x)))^2), the products in one dtype, norm and stream in that of x. What
own_block.py writes plainly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydt.model.by_hand import apply
from raydt.model.layer_norm import layer_norm, layer_norm_backward


def feed_forward_half(
    x_BTD: Tensor, norm_D: Tensor, into_FD: Tensor, out_DF: Tensor, dtype: torch.dtype
) -> Tensor:
    """The stream (B, T, D) after it, the products in `dtype`."""
    added: Tensor = apply(_FeedForwardHalf, x_BTD, norm_D, into_FD, out_DF, dtype)
    return added


class _FeedForwardHalf(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BTD: Tensor,
        norm_D: Tensor,
        into_FD: Tensor,
        out_DF: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD, mean, inverse_std = layer_norm(x_BTD, norm_D)
        n_ND = n_BTD.view(B * T, D).to(dtype)
        into_FD, out_DF = into_FD.to(dtype), out_DF.to(dtype)
        rectified_NF = torch.mm(n_ND, into_FD.T).relu_()
        hidden_NF = rectified_NF * rectified_NF
        ctx.save_for_backward(
            x_BTD, mean, inverse_std, norm_D, n_ND, rectified_NF, hidden_NF, into_FD, out_DF
        )
        return x_BTD + torch.mm(hidden_NF, out_DF.T).view(B, T, D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor | None, ...]:
        (x_BTD, mean, inverse_std, norm_D, n_ND, rectified_NF, hidden_NF, into_FD,
         out_DF) = ctx.saved_tensors  # fmt: skip
        B, T, D = x_BTD.shape
        grad_ND = grad_BTD.reshape(B * T, D).to(n_ND.dtype)
        grad_out = torch.mm(grad_ND.T, hidden_NF).to(x_BTD.dtype)
        # Of the square's derivative the factor 2 is left to the smaller arrays after the products.
        half_grad_NF = torch.mm(grad_ND, out_DF).mul_(rectified_NF)
        grad_into = torch.mm(half_grad_NF.T, n_ND).to(x_BTD.dtype) * 2
        grad_n = torch.mm(half_grad_NF, into_FD).to(x_BTD.dtype).mul_(2).view(B, T, D)
        grad_x, grad_norm = layer_norm_backward(grad_n, x_BTD, norm_D, mean, inverse_std)
        return grad_x.add_(grad_BTD), grad_norm, grad_into, grad_out, None
