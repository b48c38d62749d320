"""Causal attention of the default family, with a faster implementation for CPUs.

Shape suffixes: B batch, H heads, T bytes of a window, K width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raydt.fast_path import fast_path


def attend(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, mask_B1TT: Tensor | None = None
) -> Tensor:
    """softmax(q k^T / sqrt(K)) v, where each byte attends to itself and those before it; (B, H, T,
    K).

    A mask is True where a byte (row) may attend to another (column); it must be causal, too.
    """
    # In compiled code, the compiler fuses this.
    fast = None if torch.compiler.is_compiling() else fast_path("attention")
    if mask_B1TT is None and fast is not None and fast.serves(v_BHTK):
        attended: Tensor = fast.attend(q_BHTK, k_BHTK, v_BHTK)
        return attended
    # Rotary embeddings are float32; the products use the dtype of the values.
    q_BHTK, k_BHTK = q_BHTK.to(v_BHTK.dtype), k_BHTK.to(v_BHTK.dtype)
    return F.scaled_dot_product_attention(
        q_BHTK, k_BHTK, v_BHTK, attn_mask=mask_B1TT, is_causal=mask_B1TT is None
    )
