"""Attention with a relative position bias (T5's), as a matrix or, on a GPU, without materialising
one.

Shape suffixes: B batch, H heads, T bytes of a window, K width of a head, N distances (0, 1, ...,
and the last for all larger ones), C bytes of a block, M blocks of a window.

A bias of shape (H, T, T) prevents the use of fast attention kernels, and its gradient is written
for each batch and layer: 1.3 GB for 64 windows of 1024 bytes. FlexAttention adds the bias inside
its kernel, but accumulates its gradient with atomic additions, which took 73 ms where everything
else took 5 (docs/gpu.md). All distances from 128 on share a bias, so the gradients of all other
distances are near the diagonal: they are recomputed there, from blocks of 128 bytes. That of the
last distance follows, because the gradients of a softmax's scores add up to zero.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

MAX_DISTANCE_BYTES = 128  # from here on all distances are one bucket (T5, section 2.1)
_C = MAX_DISTANCE_BYTES
# Block sizes of the forward kernel. Torch's choice for a score with a table took 3.3 ms, these 0.7
# (docs/gpu.md).
_KERNEL_OPTIONS: Any = {
    "fwd_BLOCK_M": 128,
    "fwd_BLOCK_N": 64,
    "fwd_num_warps": 4,
    "fwd_num_stages": 3,
}


@dataclass(frozen=True)
class MatrixBias:
    """Any bias, -inf for masked positions: (1 or B, H, T, T)."""

    bias_BHTT: Tensor

    def attend(self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        """softmax(q k^T + bias) v; (B, H, T, K)."""
        bias_BHTT = self.bias_BHTT.to(q_BHTK.dtype)
        return F.scaled_dot_product_attention(
            q_BHTK, k_BHTK, v_BHTK, attn_mask=bias_BHTT, scale=1.0
        )


@dataclass(frozen=True)
class DistanceBias:
    """The bias of each distance, (H, N), with causal attention.

    Only for compiled blocks: without compilation, FlexAttention materialises all scores.
    """

    bias_HN: Tensor
    causal: BlockMask

    def attend(self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        """softmax(q k^T + bias) v; (B, H, T, K)."""
        fixed_HN = self.bias_HN.detach()
        out_BHTK, log_sum_BHT = _flex(q_BHTK, k_BHTK, v_BHTK, fixed_HN, self.causal)
        return with_bias_gradient(
            out_BHTK, q_BHTK, k_BHTK, v_BHTK, log_sum_BHT.detach(), self.bias_HN
        )


@functools.cache
def causal_blocks(num_bytes: int, device: torch.device) -> BlockMask:
    """The blocks that FlexAttention may skip in windows of `num_bytes`, a multiple of 128."""
    # Imported here because it loads torch's compiler, which is not needed on a CPU.
    from torch.nn.attention.flex_attention import create_block_mask

    return create_block_mask(
        lambda b, h, i, j: i >= j, None, None, num_bytes, num_bytes, device=str(device)
    )


def with_bias_gradient(
    out_BHTK: Tensor,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    log_sum_BHT: Tensor,
    bias_HN: Tensor,
) -> Tensor:
    """Return `out_BHTK`, attention with a fixed bias, such that its gradient also reaches
    `bias_HN`.

    `log_sum_BHT` are the logarithms of the softmax's normalisers. T is a multiple of 128.
    """
    given = (q_BHTK.detach(), k_BHTK.detach(), v_BHTK.detach(), log_sum_BHT)
    result: Tensor = _BiasGradient.apply(out_BHTK, *given, bias_HN)  # type: ignore[no-untyped-call]
    return result


class _BiasGradient(torch.autograd.Function):
    """The identity on the first argument, which also computes the gradient of the last."""

    @staticmethod
    def forward(
        ctx: Any,
        out_BHTK: Tensor,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTK: Tensor,
        log_sum_BHT: Tensor,
        bias_HN: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(out_BHTK, q_BHTK, k_BHTK, v_BHTK, log_sum_BHT, bias_HN)
        return out_BHTK.view_as(out_BHTK)

    @staticmethod
    def backward(ctx: Any, gradient_BHTK: Tensor) -> tuple[Tensor | None, ...]:
        out, q, k, v, log_sum, bias = ctx.saved_tensors
        near_HC = near_gradient(q, k, v, out, log_sum, gradient_BHTK, bias)
        far_H1 = -near_HC.sum(dim=1, keepdim=True)
        bias_gradient = torch.cat([near_HC, far_H1], dim=1).to(bias.dtype)
        return gradient_BHTK, None, None, None, None, bias_gradient


def near_gradient(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    out_BHTK: Tensor,
    log_sum_BHT: Tensor,
    gradient_BHTK: Tensor,
    bias_HN: Tensor,
) -> Tensor:
    """The gradient of the bias of distances 0 to 127; (H, C) float32.

    Recomputes the scores of each block of C queries with its own keys and those of the block
    before.
    """
    B, H, T, K = q_BHTK.shape
    M = T // _C
    shape = (B, H, M, _C, K)
    query, gradient = q_BHTK.reshape(shape), gradient_BHTK.to(v_BHTK.dtype).reshape(shape)
    keys, values = (_with_block_before(x.reshape(shape)) for x in (k_BHTK, v_BHTK))
    row_C1 = torch.arange(_C, device=q_BHTK.device)[:, None]
    distance_CW = row_C1 + _C - torch.arange(2 * _C, device=q_BHTK.device)  # W = 2 C
    near_CW = (distance_CW >= 0) & (distance_CW < _C)
    bias_HCW = bias_HN[:, distance_CW.clamp(0, _C)]
    score = (query @ keys.mT).float() + bias_HCW[:, None]
    weight = torch.exp(score - log_sum_BHT.reshape(B, H, M, _C, 1))
    of_weight = (gradient @ values.mT).float()
    delta = (gradient_BHTK.float() * out_BHTK.float()).sum(dim=-1).reshape(B, H, M, _C, 1)
    # There is nothing before the first block: mask positions there as if they were a block away.
    exists_MCW = near_CW & (
        (torch.arange(M, device=q_BHTK.device)[:, None, None] > 0)
        | (torch.arange(2 * _C, device=q_BHTK.device) >= _C)
    )
    of_score = torch.where(exists_MCW, weight * (of_weight - delta), 0.0).sum(dim=(0, 2))
    # Entries of one distance are on a diagonal; with rows one longer, they are in a column.
    skewed = F.pad(of_score.flip(2), (0, 1)).flatten(1)[:, : 2 * _C * _C]
    return skewed.view(H, _C, 2 * _C).sum(dim=1)[:, _C - 1 : 2 * _C - 1]


def _with_block_before(x_BHMCK: Tensor) -> Tensor:
    """(B, H, M, 2 C, K); zeros before the first."""
    before = F.pad(x_BHMCK[:, :, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([before, x_BHMCK], dim=3)


def _flex(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, bias_HN: Tensor, causal: BlockMask
) -> tuple[Tensor, Tensor]:
    """Attention with a fixed bias, and the logarithms of its sums (B, H, T)."""
    from torch.nn.attention.flex_attention import flex_attention

    def add_bias(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + bias_HN[h, (i - j).clamp(0, _C)]

    out, log_sum = flex_attention(
        q_BHTK,
        k_BHTK,
        v_BHTK,
        score_mod=add_bias,
        block_mask=causal,
        scale=1.0,
        return_lse=True,
        kernel_options=_KERNEL_OPTIONS,
    )
    return out, log_sum
