"""The block of the default family.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K width of a head, F half of it.

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
from raydt.model.attention_half import attention_half, turn_tables
from raydt.model.by_hand import by_hand, product_dtype
from raydt.model.documents import attention_mask
from raydt.model.feed_forward_half import feed_forward_half


@dataclass(frozen=True)
class Surroundings:
    """What the blocks of one forward pass share."""

    cos_TF: Tensor
    sin_TF: Tensor
    document_BT: Tensor | None  # None: the window is one text
    mask_B1TT: Tensor | None
    turn: Tensor | None  # for gradients by hand, which know no documents

    @classmethod
    def of(
        cls, x_BTD: Tensor, cos_TF: Tensor, sin_TF: Tensor, document_BT: Tensor | None
    ) -> Surroundings:
        """Those of a stream whose bytes are of `document_BT`."""
        if document_BT is not None:
            return cls(cos_TF, sin_TF, document_BT, attention_mask(document_BT), None)
        if by_hand(x_BTD):
            turn = turn_tables(cos_TF, sin_TF, product_dtype(x_BTD))
            return cls(cos_TF, sin_TF, None, None, turn)
        return cls(cos_TF, sin_TF, None, None, None)


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
        if around.turn is None:
            return self._by_formulas(x_BTD, around)
        x_BTD = attention_half(
            x_BTD, self.attention_norm.weight, self.conv_weight, self.query_key_value.weight,
            self.attention_out.weight, around.turn,
        )  # fmt: skip
        return feed_forward_half(
            x_BTD, self.feed_forward_norm.weight, self.feed_forward_in.weight,
            self.feed_forward_out.weight, around.turn.dtype,
        )  # fmt: skip

    def _by_formulas(self, x_BTD: Tensor, around: Surroundings) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD = convolve(self.attention_norm(x_BTD), self.conv_weight, around.document_BT)
        qkv = self.query_key_value(n_BTD).view(B, T, 3, self.num_heads, D // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = qkv.permute(2, 0, 3, 1, 4)
        q_BHTK, k_BHTK = (_rotate(x, around.cos_TF, around.sin_TF) for x in (q_BHTK, k_BHTK))
        y_BHTK = self._attend(q_BHTK, k_BHTK, v_BHTK, around)
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden = self._activate(self.feed_forward_in(self.feed_forward_norm(x_BTD)))
        fed_BTD: Tensor = self.feed_forward_out(hidden)
        return x_BTD + fed_BTD

    # These two are methods so that benchmarks/model_choices.py can try others.
    def _attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, around: Surroundings
    ) -> Tensor:
        mask = around.mask_B1TT
        return F.scaled_dot_product_attention(
            q_BHTK, k_BHTK, v_BHTK, attn_mask=mask, is_causal=mask is None
        )

    def _activate(self, hidden: Tensor) -> Tensor:
        """max(x, 0)^2 (So et al. 2021, arXiv 2109.08668)."""
        return F.relu(hidden).square()


def convolve(x_BTD: Tensor, weight: Tensor, document_BT: Tensor | None = None) -> Tensor:
    """Each byte's vector plus those of the bytes before it, weighted per channel; (B, T, D).

    `weight` is (reach - 1, D), row d - 1 for distance d. With `document_BT` bytes of another
    document do not enter.
    """
    T = x_BTD.shape[1]
    mixed = x_BTD
    for distance, weight_D in enumerate(weight[: T - 1], start=1):
        earlier = x_BTD[:, : T - distance] * weight_D
        if document_BT is not None:
            same_BT = document_BT[:, distance:] == document_BT[:, : T - distance]
            earlier = earlier * same_BT[:, :, None]
        mixed = mixed + F.pad(earlier, (0, 0, distance, 0))
    return mixed


def _rotate(x: Tensor, cos_TF: Tensor, sin_TF: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864), halves paired."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos_TF - b * sin_TF, b * cos_TF + a * sin_TF], dim=-1)
