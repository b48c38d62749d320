"""Causal attention on a CPU in bfloat16, with plain matrix products.

Shape suffixes: B batch, H heads, T bytes of a window, K width of a head.

torch's fused CPU attention is optimised for long windows. In bfloat16, at windows of 128 to 512
bytes, it was slower than plain products and a softmax (forward and backward); in float32 it was
not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The attention weights are kept for the backward pass and grow with the square of the window: at
# 512 bytes they take as much memory as four arrays of the hidden layer.
_LONGEST_WINDOW_BYTES = 512


def serves(v_BHTK: Tensor) -> bool:
    """Whether `attend` is faster for these values, which have the dtype of the products."""
    return (
        v_BHTK.device.type == "cpu"
        and v_BHTK.dtype == torch.bfloat16
        and v_BHTK.shape[2] <= _LONGEST_WINDOW_BYTES
    )


def attend(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(K)) v, where a byte attends to itself and the bytes before it; (B, H, T,
    K)."""
    T, K = q_BHTK.shape[2:]
    q_BHTK, k_BHTK = (q_BHTK * K**-0.5).to(v_BHTK.dtype), k_BHTK.to(v_BHTK.dtype)
    later_TT = v_BHTK.new_full((T, T), -math.inf).triu_(1)
    weight_BHTT = (q_BHTK @ k_BHTK.mT + later_TT).softmax(dim=-1)
    return weight_BHTT @ v_BHTK
