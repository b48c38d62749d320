"""Operations of a training step with gradients by hand, in fewer passes over memory.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K half the width of a head.

On a CPU a small model spends half of its time between the matrix products: torch's autograd keeps
and walks one array per operation. `torch.compile` and GPUs get the plain formulas instead, which
the compiler fuses better; tests hold the two together.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def by_hand(x: Tensor) -> bool:
    """Whether `x` is for operations with gradients by hand."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def apply(function: type[Function], *arguments: Any) -> Any:
    """`function.apply`, which torch leaves untyped."""
    return function.apply(*arguments)  # type: ignore[no-untyped-call]


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
    if by_hand(x):
        squared: Tensor = apply(_SquaredRelu, x)
        return squared
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
    if document_BT is None and by_hand(x_BTD):
        convolved: Tensor = apply(_Convolution, x_BTD, weight)
        return convolved
    T = x_BTD.shape[1]
    mixed = x_BTD
    for distance, weight_D in enumerate(weight[: T - 1], start=1):
        earlier = x_BTD[:, : T - distance] * weight_D
        if document_BT is not None:
            same_BT = document_BT[:, distance:] == document_BT[:, : T - distance]
            earlier = earlier * same_BT[:, :, None]
        mixed = mixed + F.pad(earlier, (0, 0, distance, 0))
    return mixed


class _RotatedHeads(Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(cos_TK, sin_TK)
        B, T, _, H, K2 = qkv.shape
        # Each head's bytes one after the other, as the products of attention read them.
        rotated = qkv.new_empty(3, B, H, T, K2)
        _turn(qkv[:, :, :2], cos_TK, sin_TK, 1, rotated[:2].permute(1, 3, 0, 2, 4))
        rotated[2] = qkv[:, :, 2].transpose(1, 2)
        return tuple(rotated)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_q: Tensor, grad_k: Tensor, grad_v: Tensor
    ) -> tuple[Tensor, None, None]:
        cos_TK, sin_TK = ctx.saved_tensors
        B, H, T, K2 = grad_q.shape
        grad = grad_q.new_empty(B, T, 3, H, K2)
        for part, grad_part in enumerate((grad_q, grad_k)):
            turned = grad[:, :, part : part + 1]
            _turn(grad_part.transpose(1, 2)[:, :, None], cos_TK, sin_TK, -1, turned)
        grad[:, :, 2] = grad_v.transpose(1, 2)
        return grad, None, None


def _turn(x: Tensor, cos_TK: Tensor, sin_TK: Tensor, direction: int, out: Tensor) -> None:
    """Turn the pairs of x (B, T, parts, H, 2K) into `out` of the same shape."""
    cos, sin = cos_TK[:, None, None], sin_TK[:, None, None]
    a, b = x.chunk(2, dim=-1)
    turned_a, turned_b = out.chunk(2, dim=-1)
    torch.mul(a, cos, out=turned_a).addcmul_(b, sin, value=-direction)
    torch.mul(b, cos, out=turned_b).addcmul_(a, sin, value=direction)


def rotated_heads(qkv: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value (B, H, T, 2K) out of (B, T, 3, H, 2K), the first two rotated.

    Rotary positions (Su et al. 2021, arXiv 2104.09864), halves paired.
    """
    if by_hand(qkv) and qkv.dtype == cos_TK.dtype:
        q, k, v = apply(_RotatedHeads, qkv, cos_TK, sin_TK)
        return q, k, v
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    return _rotate(q, cos_TK, sin_TK), _rotate(k, cos_TK, sin_TK), v


def _rotate(x: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos_TK - b * sin_TK, b * cos_TK + a * sin_TK], dim=-1)
