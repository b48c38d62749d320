"""The byte-level decoder, in two families.

Shape suffixes: B batch, T bytes of a window, D width, K half the width of a head, V vocabulary.

`default` is raydt's own (own_block.py), `paper` the published model (paper_block.py). They differ
in their blocks, in where positions come in, and at both ends.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import VOCABULARY, ModelConfig
from raydt.model.documents import document_numbers
from raydt.model.own_block import Block, Surroundings
from raydt.model.paper_block import NORM_EPSILON, PaperBlock, RelativePositionBias

IGNORED_TARGET = -100  # a target that is not counted


class Decoder(nn.Module):
    """Bytes to the distribution of the next byte."""

    cos_TK: Tensor
    sin_TK: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        if config.family == "paper":
            self._begin_paper(config)
        else:
            self._begin_own(config)

    def _begin_own(self, config: ModelConfig) -> None:
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm: nn.Module = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.zeros_(self.head.weight)
        half = config.width // config.num_heads // 2
        frequency_K = 10_000.0 ** (-torch.arange(half) / half)
        angle_TK = torch.arange(config.window_bytes)[:, None] * frequency_K
        self.register_buffer("cos_TK", angle_TK.cos(), persistent=False)
        self.register_buffer("sin_TK", angle_TK.sin(), persistent=False)

    def _begin_paper(self, config: ModelConfig) -> None:
        self.position_bias = RelativePositionBias(config)
        self.blocks = nn.ModuleList(PaperBlock(config) for _ in range(config.num_layers))
        self.final_norm = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        nn.init.normal_(self.embedding.weight, std=1.0)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Logits (B, T, V) for bytes (B, T), T at most the window."""
        document_BT = document_numbers(x_BT) if self.config.mask_documents else None
        if self.config.family == "paper":
            return self._forward_paper(x_BT, document_BT)
        return self._forward_own(x_BT, document_BT)

    def _forward_own(self, x_BT: Tensor, document_BT: Tensor | None) -> Tensor:
        T = x_BT.shape[1]
        around = Surroundings.of(self.cos_TK[:T], self.sin_TK[:T], document_BT)
        x_BTD = self.embedding(x_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, around)
        logits_BTV: Tensor = self.head(self.final_norm(x_BTD))
        return logits_BTV

    def _forward_paper(self, x_BT: Tensor, document_BT: Tensor | None) -> Tensor:
        bias = self.position_bias(x_BT.shape[1], document_BT)
        x_BTD = self.embedding(x_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, bias)
        n_BTD: Tensor = self.final_norm(x_BTD)
        # t5x computes logits in float32 for stability, and divides tied ones by sqrt(D).
        with torch.autocast(x_BT.device.type, enabled=False):
            scaled_BTD: Tensor = n_BTD.float() * self.config.width**-0.5
            logits_BTV: Tensor = F.linear(scaled_BTD, self.embedding.weight.float())
        return logits_BTV

    def loss(
        self, x_BT: Tensor, y_BT: Tensor, reduction: str = "mean", z_loss: float = 0.0
    ) -> Tensor:
        """Cross-entropy in nats per byte; targets of -100 are not counted.

        With `z_loss` the gradient, and it alone, is that of cross-entropy + z_loss * log(Z)^2
        (PaLM, arXiv 2204.02311, section 5; t5x's `cross_entropy_with_logits`): the value stays the
        cross-entropy, so that losses of any weight can be compared. `reduction` is "mean" or "sum".
        """
        logits_NV = self(x_BT).flatten(0, 1).float()
        y_N = y_BT.flatten()
        loss = F.cross_entropy(logits_NV, y_N, ignore_index=IGNORED_TARGET, reduction=reduction)
        if not z_loss:
            return loss
        counted_N: Tensor = y_N.ne(IGNORED_TARGET)
        penalty: Tensor = (logits_NV.logsumexp(dim=1).square() * counted_N).sum() * z_loss
        if reduction == "mean":
            penalty = penalty / counted_N.sum()
        return loss + (penalty - penalty.detach())

    def matrices(self) -> list[Tensor]:
        """The hidden matrices, which Muon trains; all else is for AdamW.

        None in family `paper`, which is trained by AdamW alone, as published.
        """
        if self.config.family == "paper":
            return []
        return [
            linear.weight
            for block in self.blocks
            for linear in block.modules()
            if isinstance(linear, nn.Linear)
        ]
