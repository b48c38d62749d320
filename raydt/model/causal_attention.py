"""Causal attention of a window, on a CPU with gradients by hand.

Shape suffixes: B batch, H heads, T bytes of a window, K width of a head, N = B H, S bytes of a
strip.

torch's fused attention of a CPU never holds the weights of a window, so that backward computes
them again; and it is made for long windows. In windows of a few hundred bytes the weights fit, and
strips of queries that see no further than to their own end leave out nearly half of the products.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydt.model.fewer_passes import apply, by_hand

_STRIP_BYTES = 64  # of 32, 64, 128 and 256 the fastest, or within noise of it, for 128 to 512 bytes
# The weights that are kept for backward grow with the square of the window: in one of 512 bytes
# they are as much as four arrays of the hidden layer.
_MAX_WINDOW_BYTES = 512


def causal_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(K)) v, each byte seeing itself and those before it; (B, H, T, K)."""
    fits = q_BHTK.shape[2] <= _MAX_WINDOW_BYTES
    if fits and by_hand(q_BHTK) and not torch.is_autocast_enabled("cpu"):
        attended: Tensor = apply(_InStrips, q_BHTK, k_BHTK, v_BHTK)
        return attended
    return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)


class _InStrips(Function):
    @staticmethod
    def forward(ctx: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        B, H, T, K = q_BHTK.shape
        q_NTK = q_BHTK.reshape(B * H, T, K) * K**-0.5
        k_NTK, v_NTK = (x.reshape(B * H, T, K) for x in (k_BHTK, v_BHTK))
        side = min(T, _STRIP_BYTES)
        later_SS = q_NTK.new_full((side, side), -math.inf).triu_(1)
        # As the caller wants it next: the heads of a byte side by side.
        y_BTHK = q_NTK.new_empty(B, T, H, K)
        strips = []
        for start, stop in _strips(T):
            score_NST = torch.bmm(q_NTK[:, start:stop], k_NTK[:, :stop].mT)
            score_NST[:, :, start:] += later_SS[: stop - start, : stop - start]
            weight_NST = score_NST.softmax(dim=-1)
            y_NSK = torch.bmm(weight_NST, v_NTK[:, :stop])
            y_BTHK[:, start:stop] = y_NSK.view(B, H, stop - start, K).transpose(1, 2)
            strips.append(weight_NST)
        ctx.save_for_backward(q_NTK, k_NTK, v_NTK, *strips)
        y_BHTK: Tensor = y_BTHK.transpose(1, 2)
        return y_BHTK

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_NTK, k_NTK, v_NTK, *strips = ctx.saved_tensors
        B, H, T, K = grad_BHTK.shape
        grad_NTK = grad_BHTK.reshape(B * H, T, K)
        grad_q, grad_k, grad_v = (x.new_empty(B * H, T, K) for x in (q_NTK, k_NTK, v_NTK))
        for (start, stop), weight_NST in zip(reversed(_strips(T)), reversed(strips), strict=True):
            grad_NSK, q_NSK = grad_NTK[:, start:stop], q_NTK[:, start:stop]
            grad_weight_NST = torch.bmm(grad_NSK, v_NTK[:, :stop].mT)
            grad_score_NST = torch._softmax_backward_data(
                grad_weight_NST, weight_NST, -1, weight_NST.dtype
            )
            grad_q[:, start:stop] = torch.bmm(grad_score_NST, k_NTK[:, :stop])
            if stop == T:  # the only strip that sees all
                torch.bmm(grad_score_NST.mT, q_NSK, out=grad_k)
                torch.bmm(weight_NST.mT, grad_NSK, out=grad_v)
            else:
                grad_k[:, :stop].baddbmm_(grad_score_NST.mT, q_NSK)
                grad_v[:, :stop].baddbmm_(weight_NST.mT, grad_NSK)
        grad_q *= K**-0.5
        return grad_q.view(B, H, T, K), grad_k.view(B, H, T, K), grad_v.view(B, H, T, K)


def _strips(T: int) -> list[tuple[int, int]]:
    return [(start, min(start + _STRIP_BYTES, T)) for start in range(0, T, _STRIP_BYTES)]
