"""The first half of a block of the default family with its gradient by hand.

Shape suffixes: B windows, T bytes of a window, D width, H heads, N = B H, K width of
a head, F half of it.

x + out(attention(rotated(query_key_value(convolved(norm(x)))))), the products in one dtype
(bfloat16, say), norm and stream in that of x. What own_block.py writes plainly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydt.model.by_hand import apply
from raydt.model.causal_attention import attend, attend_backward
from raydt.model.layer_norm import layer_norm, layer_norm_backward


def attention_half(
    x_BTD: Tensor,
    norm_D: Tensor,
    conv_weight: Tensor,
    query_key_value: Tensor,
    out: Tensor,
    turn: Tensor,
) -> Tensor:
    """The stream (B, T, D) after it; `turn` of `turn_tables` is of the products' type."""
    added: Tensor = apply(_AttentionHalf, x_BTD, norm_D, conv_weight, query_key_value, out, turn)
    return added


def turn_tables(cos_TF: Tensor, sin_TF: Tensor, dtype: torch.dtype) -> Tensor:
    """What queries and keys are multiplied with, and what their swapped halves: both (query or key,
    1, 1, T, K), stacked. Queries come out divided by sqrt(K) as well."""
    cos_TK, sin_TK = torch.cat([cos_TF, cos_TF], dim=1), torch.cat([-sin_TF, sin_TF], dim=1)
    turn_2TK = torch.stack([cos_TK, sin_TK])
    both_22TK = torch.stack([turn_2TK * cos_TK.shape[1] ** -0.5, turn_2TK], dim=1)
    return both_22TK[:, :, None, None].to(dtype)


class _AttentionHalf(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BTD: Tensor,
        norm_D: Tensor,
        conv_weight: Tensor,
        query_key_value: Tensor,
        out: Tensor,
        turn: Tensor,
    ) -> Tensor:
        B, T, D = x_BTD.shape
        K, dtype = turn.shape[-1], turn.dtype
        H = D // K
        n_BTD, mean, inverse_std = layer_norm(x_BTD, norm_D)
        n_BTD, conv_weight = n_BTD.to(dtype), conv_weight.to(dtype)
        mixed_ND = _convolved(n_BTD, conv_weight).view(B * T, D)
        query_key_value, out = query_key_value.to(dtype), out.to(dtype)
        qkv = torch.mm(mixed_ND, query_key_value.T).view(B, T, 3, H, K)
        # Each head's bytes one after the other, as the products of attention read them.
        heads_3BHTK = qkv.permute(2, 0, 3, 1, 4).contiguous()
        _turn(heads_3BHTK[:2], turn, 1)
        q_NTK, k_NTK, v_NTK = heads_3BHTK.view(3, B * H, T, K)
        y_BHTK = torch.empty_like(heads_3BHTK[0])
        kept = attend(q_NTK, k_NTK, v_NTK, y_BHTK.view(B * H, T, K))
        y_ND = y_BHTK.transpose(1, 2).reshape(B * T, D)
        ctx.save_for_backward(
            x_BTD, mean, inverse_std, norm_D, n_BTD, conv_weight, mixed_ND, query_key_value, out,
            turn, q_NTK, k_NTK, v_NTK, y_ND, *kept,
        )  # fmt: skip
        return x_BTD + torch.mm(y_ND, out.T).view(B, T, D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor | None, ...]:
        (x_BTD, mean, inverse_std, norm_D, n_BTD, conv_weight, mixed_ND, query_key_value, out,
         turn, q_NTK, k_NTK, v_NTK, y_ND, *kept) = ctx.saved_tensors  # fmt: skip
        B, T, D = x_BTD.shape
        K = q_NTK.shape[-1]
        H = D // K
        grad_ND = grad_BTD.reshape(B * T, D).to(y_ND.dtype)
        grad_out = torch.mm(grad_ND.T, y_ND)
        grad_y_BHTK = torch.mm(grad_ND, out).view(B, T, H, K).transpose(1, 2)
        grad_3BHTK = attend_backward(
            grad_y_BHTK.reshape(B * H, T, K), q_NTK, k_NTK, v_NTK, kept
        ).view(3, B, H, T, K)
        _turn(grad_3BHTK[:2], turn, -1)
        grad_qkv = grad_3BHTK.permute(1, 3, 0, 2, 4).reshape(B * T, 3 * D)
        grad_query_key_value = torch.mm(grad_qkv.T, mixed_ND)
        grad_mixed = torch.mm(grad_qkv, query_key_value).view(B, T, D)
        grad_n, grad_conv_weight = _convolved_backward(grad_mixed, n_BTD, conv_weight)
        grad_x, grad_norm = layer_norm_backward(grad_n, x_BTD, norm_D, mean, inverse_std)
        weights = (grad_conv_weight, grad_query_key_value, grad_out)
        return grad_x.add_(grad_BTD), grad_norm, *(w.to(x_BTD.dtype) for w in weights), None


def _turn(x_2BHTK: Tensor, turn: Tensor, direction: int) -> None:
    """Turn queries and keys in place, halves paired. Whole rows at a time: halves by themselves,
    strided, took more than twice as long."""
    cos, sin = turn
    swapped = x_2BHTK.roll(x_2BHTK.shape[-1] // 2, dims=-1)
    x_2BHTK.mul_(cos).addcmul_(swapped, sin, value=direction)


def _convolved(x_BTD: Tensor, weight: Tensor) -> Tensor:
    T = x_BTD.shape[1]
    mixed = x_BTD.clone()
    for distance, weight_D in enumerate(weight[: T - 1].unbind(), start=1):
        mixed[:, distance:].addcmul_(x_BTD[:, : T - distance], weight_D)
    return mixed


def _convolved_backward(grad_BTD: Tensor, x_BTD: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    T = x_BTD.shape[1]
    grad_x, grad_weight = grad_BTD.clone(), torch.zeros_like(weight)
    for distance, weight_D in enumerate(weight[: T - 1].unbind(), start=1):
        later = grad_BTD[:, distance:]
        grad_x[:, : T - distance].addcmul_(later, weight_D)
        grad_weight[distance - 1] = (later * x_BTD[:, : T - distance]).sum((0, 1))
    return grad_x, grad_weight
