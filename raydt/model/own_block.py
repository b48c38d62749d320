"""The block of the default family.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K width of a head.

Pre-norm with rotary positions, squared ReLU and no biases, and before attention a causal depthwise
convolution over the last few bytes. The convolution lets one layer find "what followed this string
before", which otherwise takes two layers and many more steps to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import ModelConfig
from raydt.model.causal_attention import causal_attention
from raydt.model.documents import attention_mask
from raydt.model.fewer_passes import convolve, rotated_heads, squared_relu


@dataclass(frozen=True)
class Surroundings:
    """What the blocks of one forward pass share."""

    cos_TK: Tensor
    sin_TK: Tensor
    document_BT: Tensor | None  # None: the window is one text
    mask_B1TT: Tensor | None

    @classmethod
    def of(cls, cos_TK: Tensor, sin_TK: Tensor, document_BT: Tensor | None) -> Surroundings:
        """Those of a window whose bytes are of `document_BT`."""
        mask = None if document_BT is None else attention_mask(document_BT)
        return cls(cos_TK, sin_TK, document_BT, mask)


class Block(nn.Module):
    """Attention and feed-forward, each added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        # Weights of the bytes before the current one; zero at first, so that a new block sees
        # only the byte itself.
        self.conv_weight = nn.Parameter(torch.zeros(config.conv_bytes - 1, width))
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.feed_forward_in = nn.Linear(width, config.hidden, bias=False)
        self.feed_forward_out = nn.Linear(config.hidden, width, bias=False)
        # Blocks that begin as the identity train fastest.
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.feed_forward_out.weight)

    def forward(self, x_BTD: Tensor, around: Surroundings) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD = convolve(self.attention_norm(x_BTD), self.conv_weight, around.document_BT)
        qkv = self.query_key_value(n_BTD).view(B, T, 3, self.num_heads, D // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = rotated_heads(qkv, around.cos_TK, around.sin_TK)
        y_BHTK = self._attend(q_BHTK, k_BHTK, v_BHTK, around)
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden = self._activate(self.feed_forward_in(self.feed_forward_norm(x_BTD)))
        fed_BTD: Tensor = self.feed_forward_out(hidden)
        return x_BTD + fed_BTD

    # These two are methods so that benchmarks/model_choices.py can try others.
    def _attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, around: Surroundings
    ) -> Tensor:
        if around.mask_B1TT is None:
            return causal_attention(q_BHTK, k_BHTK, v_BHTK)
        return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=around.mask_B1TT)

    def _activate(self, hidden_BTF: Tensor) -> Tensor:
        return squared_relu(hidden_BTF)
