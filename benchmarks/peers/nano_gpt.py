"""A decoder and a loop in the style of nanoGPT (Karpathy, MIT), rewritten in plain torch.

All that makes nanoGPT fast is here: no biases, one matrix for query, key and value, torch's fused
attention, tied embeddings, a fused AdamW that decays only matrices, clipping, gradients set to
None, and batches cut from one array. The caller sets the hidden size, because not all of raydt's
models have nanoGPT's four times the width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The shape that the peers of a model share with it."""

    width: int
    num_layers: int
    num_heads: int
    hidden: int
    window_bytes: int
    vocabulary: int = 256


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.norm_1 = nn.LayerNorm(shape.width, bias=False)
        self.attention_in = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attention_out = nn.Linear(shape.width, shape.width, bias=False)
        self.norm_2 = nn.LayerNorm(shape.width, bias=False)
        self.feed_forward_in = nn.Linear(shape.width, shape.hidden, bias=False)
        self.feed_forward_out = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.attention_in(self.norm_1(x)).split(D, dim=2)
        q = q.view(B, T, self.num_heads, -1).transpose(1, 2)
        k = k.view(B, T, self.num_heads, -1).transpose(1, 2)
        v = v.view(B, T, self.num_heads, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).contiguous().view(B, T, D))
        return x + self.feed_forward_out(F.gelu(self.feed_forward_in(self.norm_2(x))))


class NanoGPT(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.bytes = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.window_bytes, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.num_layers))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.bytes.weight = self.head.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2:
                std = 0.02
                if name.endswith("_out.weight"):
                    std /= (2 * shape.num_layers) ** 0.5
                nn.init.normal_(parameter, std=std)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = self.bytes(x) + self.positions(torch.arange(x.shape[1]))
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.head(self.norm(hidden))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1), ignore_index=-1)


def fused_adamw(model: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW as nanoGPT's `configure_optimizers` makes it."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def random_batch(
    data: NDArray[np.uint8], batch_windows: int, window_bytes: int
) -> tuple[Tensor, Tensor]:
    """nanoGPT's `get_batch`: (B, T) inputs and targets from places drawn with replacement."""
    starts = torch.randint(len(data) - window_bytes, (batch_windows,)).tolist()
    x = torch.stack([torch.from_numpy(data[i : i + window_bytes].astype(np.int64)) for i in starts])
    y = torch.stack(
        [torch.from_numpy(data[i + 1 : i + 1 + window_bytes].astype(np.int64)) for i in starts]
    )
    return x, y
