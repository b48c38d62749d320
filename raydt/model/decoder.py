"""The byte-level decoder.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K width of a head, V vocabulary.

Pre-norm blocks with rotary positions, squared ReLU and no biases, and in every block a causal
depthwise convolution over the last few bytes before attention. The convolution lets one layer find
"what followed this string before", which otherwise takes two layers and many more steps to learn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import VOCABULARY, ModelConfig

IGNORED_TARGET = -100  # a target that is not counted


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

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD = self.attention_norm(x_BTD)
        n_BTD = self._convolve(n_BTD)
        qkv = self.query_key_value(n_BTD).view(B, T, 3, self.num_heads, D // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = qkv.permute(2, 0, 3, 1, 4)
        y_BHTK = F.scaled_dot_product_attention(
            _rotate(q_BHTK, cos_TK, sin_TK), _rotate(k_BHTK, cos_TK, sin_TK), v_BHTK, is_causal=True
        )
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden = F.relu(self.feed_forward_in(self.feed_forward_norm(x_BTD))).square()
        fed_BTD: Tensor = self.feed_forward_out(hidden)
        return x_BTD + fed_BTD

    def _convolve(self, x_BTD: Tensor) -> Tensor:
        T = x_BTD.shape[1]
        mixed = x_BTD
        for distance, weight_D in enumerate(self.conv_weight[: T - 1], start=1):
            mixed = mixed + F.pad(x_BTD[:, : T - distance] * weight_D, (0, 0, distance, 0))
        return mixed


class Decoder(nn.Module):
    """Bytes to the distribution of the next byte."""

    cos_TK: Tensor
    sin_TK: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.zeros_(self.head.weight)
        half = config.width // config.num_heads // 2
        frequency_K = 10_000.0 ** (-torch.arange(half) / half)
        angle_TK = torch.arange(config.window_bytes)[:, None] * frequency_K
        self.register_buffer("cos_TK", angle_TK.cos(), persistent=False)
        self.register_buffer("sin_TK", angle_TK.sin(), persistent=False)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Logits (B, T, V) for bytes (B, T), T at most the window."""
        T = x_BT.shape[1]
        x_BTD = self.embedding(x_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, self.cos_TK[:T], self.sin_TK[:T])
        logits_BTV: Tensor = self.head(self.final_norm(x_BTD))
        return logits_BTV

    def loss(self, x_BT: Tensor, y_BT: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy in nats per byte; targets of -100 are not counted."""
        return F.cross_entropy(
            self(x_BT).flatten(0, 1),
            y_BT.flatten(),
            ignore_index=IGNORED_TARGET,
            reduction=reduction,
        )

    def matrices(self) -> list[Tensor]:
        """The hidden matrices, which Muon trains; all else is for AdamW."""
        return [
            linear.weight
            for block in self.blocks
            for linear in block.modules()
            if isinstance(linear, nn.Linear)
        ]


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864), halves paired."""
    a, b = x_BHTK.chunk(2, dim=-1)
    return torch.cat([a * cos_TK - b * sin_TK, b * cos_TK + a * sin_TK], dim=-1)
