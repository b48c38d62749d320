"""The published model: t5x's decoder-only example.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K width of a head, F hidden, N
buckets of distances.

Source: google-research/t5x, t5x/examples/decoder_only (network.py, layers.py), and T5 (Raffel et
al. 2020, arXiv 1910.10683, section 2.1). RMSNorm, a gated GELU by the tanh approximation, no
biases, attention scores that are not divided by sqrt(K) (the initial query matrix is smaller by
that factor instead), one table of relative position biases for all layers, and an output that is
tied to the embedding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import RELATIVE_BUCKETS, VOCABULARY, ModelConfig
from raydt.model.decoder import Decoder
from raydt.model.distance_bias import (
    MAX_DISTANCE_BYTES,
    DistanceBias,
    MatrixBias,
    causal_blocks,
)
from raydt.model.documents import attention_mask, document_numbers

_NORM_EPSILON = 1e-6
# The standard deviation of a standard normal that is truncated at two.
_TRUNCATED_NORMAL_STD = 0.87962566103423978


class PaperDecoder(Decoder):
    """Embedding, blocks, norm, and the tied embedding as output."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        self.position_bias = RelativePositionBias(config)
        self.blocks = nn.ModuleList(PaperBlock(config) for _ in range(config.num_layers))
        self.final_norm = nn.RMSNorm(config.width, eps=_NORM_EPSILON)
        nn.init.normal_(self.embedding.weight, std=1.0)

    def logits(self, x_BT: Tensor) -> Tensor:
        x_BTD: Tensor = self.embedding(x_BT)
        document_BT = document_numbers(x_BT) if self.config.mask_documents else None
        bias = self._bias(x_BT, document_BT)
        for block in self.blocks:
            x_BTD = self.run_block(block, x_BTD, bias)
        n_BTD: Tensor = self.final_norm(x_BTD)
        # t5x computes logits in float32 for stability, and divides tied ones by sqrt(D).
        with torch.autocast(x_BT.device.type, enabled=False):
            scaled_BTD = n_BTD.float() * self.config.width**-0.5
            return F.linear(scaled_BTD, self.output_rows().float())

    def _bias(self, x_BT: Tensor, document_BT: Tensor | None) -> DistanceBias | MatrixBias:
        T = x_BT.shape[1]
        by_distance = self.is_compiled and x_BT.is_cuda and torch.is_grad_enabled()
        if by_distance and document_BT is None and T % MAX_DISTANCE_BYTES == 0:
            bias_HN = self.position_bias.by_distance(MAX_DISTANCE_BYTES + 1)
            return DistanceBias(bias_HN, causal_blocks(T, x_BT.device))
        return MatrixBias(self.position_bias(T, document_BT))

    def byte_rows(self) -> list[Tensor]:
        return [self.embedding.weight]

    def matrices(self) -> list[Tensor]:
        return []  # AdamW trains everything, as published


class PaperBlock(nn.Module):
    """Attention and gated feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.num_heads = config.num_heads
        self.attention_norm = nn.RMSNorm(width, eps=_NORM_EPSILON)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(width, eps=_NORM_EPSILON)
        self.feed_forward_in = nn.Linear(width, 2 * hidden, bias=False)  # the gate, then the rest
        self.feed_forward_out = nn.Linear(hidden, width, bias=False)
        for linear in (self.query_key_value, self.attention_out):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        with torch.no_grad():
            self.query_key_value.weight[:width] *= (width // config.num_heads) ** -0.5
        for linear in (self.feed_forward_in, self.feed_forward_out):
            std = linear.in_features**-0.5 / _TRUNCATED_NORMAL_STD
            nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)

    def forward(self, x_BTD: Tensor, bias: DistanceBias | MatrixBias) -> Tensor:
        B, T, D = x_BTD.shape
        qkv = self.query_key_value(self.attention_norm(x_BTD))
        qkv = qkv.view(B, T, 3, self.num_heads, D // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = qkv.permute(2, 0, 3, 1, 4)
        y_BHTK = bias.attend(q_BHTK, k_BHTK, v_BHTK)
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        gate_BTF, linear_BTF = self.feed_forward_in(self.feed_forward_norm(x_BTD)).chunk(2, dim=-1)
        fed_BTD: Tensor = self.feed_forward_out(F.gelu(gate_BTF, approximate="tanh") * linear_BTF)
        return x_BTD + fed_BTD


class RelativePositionBias(nn.Module):
    """The bias of attention scores by distance, per head; -inf for masked positions."""

    bucket_T: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.table_HN = nn.Parameter(torch.empty(config.num_heads, RELATIVE_BUCKETS))
        limit = math.sqrt(6 / (config.num_heads + RELATIVE_BUCKETS))
        nn.init.uniform_(self.table_HN, -limit, limit)
        bucket_T = distance_buckets(config.window_bytes)
        self.register_buffer("bucket_T", bucket_T, persistent=False)

    def by_distance(self, num_distances: int) -> Tensor:
        """The bias of distances 0, 1, 2, ... in bytes; (H, num_distances)."""
        return self.table_HN[:, self.bucket_T[:num_distances]]

    def forward(self, T: int, document_BT: Tensor | None) -> Tensor:
        """The bias matrix, (1, H, T, T), or (B, H, T, T) with masked documents."""
        by_distance_HT = self.by_distance(T)
        hidden_HT = by_distance_HT.new_full((len(by_distance_HT), T), -math.inf)
        # Entry (i, j) is the bias of distance i - j: rows are windows of one reversed vector.
        line = torch.cat([by_distance_HT.flip(1), hidden_HT], dim=1)
        bias_HTT = line.unfold(1, T, 1)[:, :T].flip(1)
        if document_BT is None:
            return bias_HTT[None]
        return bias_HTT[None].masked_fill(~attention_mask(document_BT), -math.inf)


def distance_buckets(num_distances: int) -> Tensor:
    """The bucket of each distance 0, 1, ... in bytes; (num_distances,) int64.

    Half of the buckets are for exact distances, half for logarithmically growing ranges up to 128
    bytes and beyond (T5, section 2.1; t5x's `_relative_position_bucket`, one direction).
    """
    distance = torch.arange(num_distances, device="cpu")
    exact = RELATIVE_BUCKETS // 2
    growth = torch.log(distance.clamp(min=1) / exact + torch.finfo(torch.float32).eps)
    growth = growth / math.log(MAX_DISTANCE_BYTES / exact) * (RELATIVE_BUCKETS - exact)
    far = (exact + growth.long()).clamp(max=RELATIVE_BUCKETS - 1)
    return torch.where(distance < exact, distance, far)
