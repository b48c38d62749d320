"""The first half of a block of the default family with its gradient by hand.

Shape suffixes: B windows, T bytes of a window, D width, H heads, K width of a head, F half of it.

x + out(attention(rotated(query_key_value(convolved(norm(x)))))), the products in one number type
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
    turn_2T21F: Tensor,
) -> Tensor:
    """The stream (B, T, D) after it; `turn_2T21F` of `turn_tables` is of the products' type."""
    added: Tensor = apply(
        _AttentionHalf, x_BTD, norm_D, conv_weight, query_key_value, out, turn_2T21F
    )
    return added


def turn_tables(cos_TF: Tensor, sin_TF: Tensor, dtype: torch.dtype) -> Tensor:
    """Cosines and sines (2, T, query or key, 1, F); queries come out divided by sqrt(K) as well."""
    turn_2TF = torch.stack([cos_TF, sin_TF])
    divided = turn_2TF * (2 * cos_TF.shape[1]) ** -0.5
    return torch.stack([divided, turn_2TF], dim=2)[:, :, :, None].to(dtype)


class _AttentionHalf(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BTD: Tensor,
        norm_D: Tensor,
        conv_weight: Tensor,
        query_key_value: Tensor,
        out: Tensor,
        turn_2T21F: Tensor,
    ) -> Tensor:
        B, T, D = x_BTD.shape
        F = turn_2T21F.shape[-1]
        H, K, dtype = D // (2 * F), 2 * F, turn_2T21F.dtype
        n_BTD, mean, inverse_std = layer_norm(x_BTD, norm_D)
        n_BTD, conv_weight = n_BTD.to(dtype), conv_weight.to(dtype)
        mixed_ND = _convolved(n_BTD, conv_weight).view(B * T, D)
        query_key_value, out = query_key_value.to(dtype), out.to(dtype)
        qkv = torch.mm(mixed_ND, query_key_value.T).view(B, T, 3, H, K)
        # Each head's bytes one after the other, as the products of attention read them.
        heads_3BHTK = qkv.new_empty(3, B, H, T, K)
        heads_BT3HK = heads_3BHTK.permute(1, 3, 0, 2, 4)
        _turn(qkv[:, :, :2], turn_2T21F, 1, heads_BT3HK[:, :, :2])
        heads_BT3HK[:, :, 2] = qkv[:, :, 2]
        q_NTK, k_NTK, v_NTK = heads_3BHTK.view(3, B * H, T, K)
        y_BHTK = torch.empty_like(heads_3BHTK[0])
        kept = attend(q_NTK, k_NTK, v_NTK, y_BHTK.view(B * H, T, K))
        y_ND = y_BHTK.transpose(1, 2).reshape(B * T, D)
        ctx.save_for_backward(
            x_BTD, mean, inverse_std, norm_D, n_BTD, conv_weight, mixed_ND, query_key_value, out,
            turn_2T21F, q_NTK, k_NTK, v_NTK, y_ND, *kept,
        )  # fmt: skip
        return x_BTD + torch.mm(y_ND, out.T).view(B, T, D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor | None, ...]:
        (x_BTD, mean, inverse_std, norm_D, n_BTD, conv_weight, mixed_ND, query_key_value, out,
         turn_2T21F, q_NTK, k_NTK, v_NTK, y_ND, *kept) = ctx.saved_tensors  # fmt: skip
        B, T, D = x_BTD.shape
        K = q_NTK.shape[-1]
        H = D // K
        grad_ND = grad_BTD.reshape(B * T, D).to(y_ND.dtype)
        grad_out = torch.mm(grad_ND.T, y_ND)
        grad_y_BHTK = torch.mm(grad_ND, out).view(B, T, H, K).transpose(1, 2)
        grad_3BHTK = attend_backward(
            grad_y_BHTK.reshape(B * H, T, K), q_NTK, k_NTK, v_NTK, kept
        ).view(3, B, H, T, K)
        grad_heads = grad_3BHTK.permute(1, 3, 0, 2, 4)
        grad_qkv = grad_ND.new_empty(B, T, 3, H, K)
        _turn(grad_heads[:, :, :2], turn_2T21F, -1, grad_qkv[:, :, :2])
        grad_qkv[:, :, 2] = grad_heads[:, :, 2]
        grad_qkv = grad_qkv.view(B * T, 3 * D)
        grad_query_key_value = torch.mm(grad_qkv.T, mixed_ND)
        grad_mixed = torch.mm(grad_qkv, query_key_value).view(B, T, D)
        grad_n, grad_conv_weight = _convolved_backward(grad_mixed, n_BTD, conv_weight)
        grad_x, grad_norm = layer_norm_backward(grad_n, x_BTD, norm_D, mean, inverse_std)
        weights = (grad_conv_weight, grad_query_key_value, grad_out)
        return grad_x.add_(grad_BTD), grad_norm, *(w.to(x_BTD.dtype) for w in weights), None


def _turn(x: Tensor, turn_2T21F: Tensor, direction: int, out: Tensor) -> None:
    """Turn queries and keys of x (B, T, 2, H, K) into `out` of the same shape, halves paired."""
    cos, sin = turn_2T21F
    a, b = x.chunk(2, dim=-1)
    turned_a, turned_b = out.chunk(2, dim=-1)
    torch.mul(a, cos, out=turned_a).addcmul_(b, sin, value=-direction)
    torch.mul(b, cos, out=turned_b).addcmul_(a, sin, value=direction)


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
