"""The default family, raydt's own.

Shape suffixes: B batch, T bytes of a window, D width, H heads, K width of a head, F half of it,
V vocabulary.

Pre-norm with rotary embeddings, squared ReLU and no biases, and a causal depthwise convolution over
the last few bytes before attention. With the convolution a single layer can learn "what followed
this string before", which otherwise takes two layers and many more steps. Embedding and output are
not tied.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import VOCABULARY, ModelConfig
from raydt.model.attention import attend
from raydt.model.decoder import Decoder
from raydt.model.documents import attention_mask, document_numbers


class DefaultDecoder(Decoder):
    """Embedding, blocks, norm, head."""

    cos_TF: Tensor
    sin_TF: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.zeros_(self.head.weight)
        half = config.width // config.num_heads // 2
        frequency_F = 10_000.0 ** (-torch.arange(half) / half)
        angle_TF = torch.arange(config.window_bytes)[:, None] * frequency_F
        self.register_buffer("cos_TF", angle_TF.cos(), persistent=False)
        self.register_buffer("sin_TF", angle_TF.sin(), persistent=False)

    def logits(self, x_BT: Tensor) -> Tensor:
        x_BTD: Tensor = self.embedding(x_BT)
        inputs = self._block_inputs(x_BT)
        for block in self.blocks:
            x_BTD = self.run_block(block, x_BTD, inputs)
        return F.linear(self.final_norm(x_BTD), self.output_rows())

    def _block_inputs(self, x_BT: Tensor) -> BlockInputs:
        T = x_BT.shape[1]
        cos_TF, sin_TF = self.cos_TF[:T], self.sin_TF[:T]
        if not self.config.mask_documents:
            return BlockInputs(cos_TF, sin_TF)
        document_BT = document_numbers(x_BT)
        return BlockInputs(cos_TF, sin_TF, document_BT, attention_mask(document_BT))

    def byte_rows(self) -> list[Tensor]:
        return [self.embedding.weight, self.head.weight]

    def matrices(self) -> list[Tensor]:
        return [
            linear.weight
            for block in self.blocks
            for linear in block.modules()
            if isinstance(linear, nn.Linear)
        ]


@dataclass(frozen=True)
class BlockInputs:
    """Inputs that all blocks share in a forward pass."""

    cos_TF: Tensor
    sin_TF: Tensor
    document_BT: Tensor | None = None  # None: the window is a single text
    mask_B1TT: Tensor | None = None


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        # Weights of the bytes before the current one, initially zero, so that a new block sees only
        # the byte itself.
        self.conv_weight = nn.Parameter(torch.zeros(config.conv_bytes - 1, width))
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.feed_forward_in = nn.Linear(width, config.hidden, bias=False)
        self.feed_forward_out = nn.Linear(config.hidden, width, bias=False)
        # Blocks that start as the identity train fastest.
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.feed_forward_out.weight)

    def forward(self, x_BTD: Tensor, inputs: BlockInputs) -> Tensor:
        B, T, D = x_BTD.shape
        n_BTD = convolve(self.attention_norm(x_BTD), self.conv_weight, inputs.document_BT)
        qkv = self.query_key_value(n_BTD).view(B, T, 3, self.num_heads, D // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = qkv.permute(2, 0, 3, 1, 4)
        q_BHTK, k_BHTK = (rotate(x, inputs.cos_TF, inputs.sin_TF) for x in (q_BHTK, k_BHTK))
        y_BHTK = self._attend(q_BHTK, k_BHTK, v_BHTK, inputs)
        x_BTD = x_BTD + self.attention_out(y_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden = self._activate(self.feed_forward_in(self.feed_forward_norm(x_BTD)))
        fed_BTD: Tensor = self.feed_forward_out(hidden)
        return x_BTD + fed_BTD

    # These two are methods so that benchmarks/model_choices.py can try others.
    def _attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, inputs: BlockInputs
    ) -> Tensor:
        return attend(q_BHTK, k_BHTK, v_BHTK, inputs.mask_B1TT)

    def _activate(self, hidden: Tensor) -> Tensor:
        """max(x, 0)^2 (So et al. 2021, arXiv 2109.08668).

        As a product: CUDA's autocast computes a power in float32, at twice the memory.
        """
        positive = F.relu(hidden)
        return positive * positive


def convolve(x_BTD: Tensor, weight: Tensor, document_BT: Tensor | None = None) -> Tensor:
    """Each byte's vector plus those of the bytes before it, weighted per channel; (B, T, D).

    `weight` is (kernel size - 1, D), row d - 1 for distance d. With `document_BT`, bytes of other
    documents do not contribute.
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


def rotate(x: Tensor, cos_TF: Tensor, sin_TF: Tensor) -> Tensor:
    """Rotary embeddings (Su et al. 2021, arXiv 2104.09864), with paired halves."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos_TF - b * sin_TF, b * cos_TF + a * sin_TF], dim=-1)
