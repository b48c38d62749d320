"""Operations of a training step with gradients by hand, in fewer passes over memory.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K half the width of a head, N bytes
of a batch, V vocabulary.

On a CPU a small model spends half of its time between the matrix products: torch's autograd keeps
and walks one array per operation. `torch.compile` and GPUs get the plain formulas instead, which
the compiler fuses better; tests hold the two together.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

IGNORED_TARGET = -100  # a target that is not counted


def _by_hand(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _apply(function: type[Function], *arguments: Any) -> Tensor:
    return cast(Tensor, function.apply(*arguments))  # type: ignore[no-untyped-call]


class _SquaredRelu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rectified = x.relu()
        ctx.save_for_backward(rectified)
        return rectified.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (rectified,) = ctx.saved_tensors
        doubled: Tensor = (grad * rectified).mul_(2)
        return doubled


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)^2 (So et al. 2021, arXiv 2109.08668)."""
    if _by_hand(x):
        return _apply(_SquaredRelu, x)
    return F.relu(x).square()


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x_BTD: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x_BTD, weight)
        T = x_BTD.shape[1]
        mixed = x_BTD.clone()
        for distance, weight_D in enumerate(weight[: T - 1].unbind(), start=1):
            mixed[:, distance:].addcmul_(x_BTD[:, : T - distance], weight_D)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, weight = ctx.saved_tensors
        T = x_BTD.shape[1]
        grad_x, grad_weight = grad_BTD.clone(), torch.zeros_like(weight)
        for distance, weight_D in enumerate(weight[: T - 1].unbind(), start=1):
            later = grad_BTD[:, distance:]
            grad_x[:, : T - distance].addcmul_(later, weight_D)
            grad_weight[distance - 1] = (later * x_BTD[:, : T - distance]).sum((0, 1))
        return grad_x, grad_weight


def convolve(x_BTD: Tensor, weight: Tensor, document_BT: Tensor | None = None) -> Tensor:
    """Each byte's vector plus those of the bytes before it, weighted per channel; (B, T, D).

    `weight` is (reach - 1, D), row d - 1 for distance d. With `document_BT` bytes of another
    document do not enter.
    """
    if document_BT is None and _by_hand(x_BTD):
        return _apply(_Convolution, x_BTD, weight)
    T = x_BTD.shape[1]
    mixed = x_BTD
    for distance, weight_D in enumerate(weight[: T - 1], start=1):
        earlier = x_BTD[:, : T - distance] * weight_D
        if document_BT is not None:
            same_BT = document_BT[:, distance:] == document_BT[:, : T - distance]
            earlier = earlier * same_BT[:, :, None]
        mixed = mixed + F.pad(earlier, (0, 0, distance, 0))
    return mixed


class _Rotation(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        ctx.save_for_backward(cos_TK, sin_TK)
        return _turn(x, cos_TK, sin_TK, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos_TK, sin_TK = ctx.saved_tensors
        return _turn(grad, cos_TK, sin_TK, -1), None, None


def _turn(x: Tensor, cos_TK: Tensor, sin_TK: Tensor, direction: int) -> Tensor:
    turned = torch.empty_like(x)
    a, b = x.chunk(2, dim=-1)
    turned_a, turned_b = turned.chunk(2, dim=-1)
    torch.mul(a, cos_TK, out=turned_a).addcmul_(b, sin_TK, value=-direction)
    torch.mul(b, cos_TK, out=turned_b).addcmul_(a, sin_TK, value=direction)
    return turned


def rotate(x_BHTK2: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864), halves paired; x is (B, H, T, 2K)."""
    if _by_hand(x_BHTK2) and x_BHTK2.dtype == cos_TK.dtype:
        return _apply(_Rotation, x_BHTK2, cos_TK, sin_TK)
    a, b = x_BHTK2.chunk(2, dim=-1)
    return torch.cat([a * cos_TK - b * sin_TK, b * cos_TK + a * sin_TK], dim=-1)


class _CrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, y_N: Tensor, mean: bool) -> Tensor:
        counted_N = y_N != IGNORED_TARGET
        target_N1 = y_N.clamp(min=0)[:, None]
        probability_NV = logits_NV.softmax(dim=1)
        # The sum of exponentials relative to the largest logit is the inverse of the largest
        # probability, so that neither a second exponential nor a logarithm of 0 is needed.
        below_largest_N = logits_NV.amax(dim=1) - logits_NV.gather(1, target_N1)[:, 0]
        loss_N = (below_largest_N - probability_NV.amax(dim=1).log()) * counted_N
        share_N = counted_N.to(logits_NV.dtype)
        if mean:
            share_N /= counted_N.sum()
        ctx.save_for_backward(probability_NV, target_N1, share_N)
        return loss_N.sum() / counted_N.sum() if mean else loss_N.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        probability_NV, target_N1, share_N = ctx.saved_tensors
        share_N1 = (share_N * grad)[:, None]
        grad_NV = probability_NV * share_N1
        return grad_NV.scatter_add_(1, target_N1, -share_N1), None, None


def cross_entropy(logits_NV: Tensor, y_N: Tensor, reduction: str) -> Tensor:
    """Nats; "mean" over the counted targets, or "sum"."""
    if _by_hand(logits_NV):
        return _apply(_CrossEntropy, logits_NV, y_N, reduction == "mean")
    return F.cross_entropy(logits_NV, y_N, ignore_index=IGNORED_TARGET, reduction=reduction)
