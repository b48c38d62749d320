"""The byte-level decoder, in two families.

Shape suffixes: B batch, T bytes of a window, D width, F half the width of a head, V vocabulary,
S the bytes that the softmax is over.

`default` is raydt's own (own_block.py), `paper` the published model (paper_block.py). They differ
in their blocks, in where positions come in, and at both ends.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import VOCABULARY, ModelConfig
from raydt.model.alphabet import Alphabet
from raydt.model.by_hand import by_hand, product_dtype
from raydt.model.documents import document_numbers
from raydt.model.head_loss import IGNORED_TARGET, head_loss
from raydt.model.own_block import Block, Surroundings
from raydt.model.paper_block import NORM_EPSILON, PaperBlock, RelativePositionBias

__all__ = ["IGNORED_TARGET", "Decoder"]


class Decoder(nn.Module):
    """Bytes to the distribution of the next byte."""

    cos_TF: Tensor
    sin_TF: Tensor
    seen_S: Tensor | None  # None: all 256
    place_V: Tensor | None  # of each byte among the seen

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("seen_S", None, persistent=False)
        self.register_buffer("place_V", None, persistent=False)
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        if config.family == "paper":
            self._begin_paper(config)
        else:
            self._begin_own(config)

    def _begin_own(self, config: ModelConfig) -> None:
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm: nn.LayerNorm | nn.RMSNorm = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.zeros_(self.head.weight)
        half = config.width // config.num_heads // 2
        frequency_F = 10_000.0 ** (-torch.arange(half) / half)
        angle_TF = torch.arange(config.window_bytes)[:, None] * frequency_F
        self.register_buffer("cos_TF", angle_TF.cos(), persistent=False)
        self.register_buffer("sin_TF", angle_TF.sin(), persistent=False)

    def _begin_paper(self, config: ModelConfig) -> None:
        self.position_bias = RelativePositionBias(config)
        self.blocks = nn.ModuleList(PaperBlock(config) for _ in range(config.num_layers))
        self.final_norm = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        nn.init.normal_(self.embedding.weight, std=1.0)

    def restrict(self, alphabet: Alphabet) -> None:
        """Let the softmax be over the bytes of `alphabet`, if it has an escape for all others."""
        self.seen_S = self.place_V = None
        if alphabet.escape is None:
            return
        device = self.embedding.weight.device
        self.seen_S = torch.tensor(sorted(alphabet.seen), device=device)
        # An unseen byte has a place that does not exist: as a target of training it is an error.
        self.place_V = torch.full((VOCABULARY,), len(alphabet.seen), device=device)
        self.place_V[self.seen_S] = torch.arange(len(alphabet.seen), device=device)
        num_unseen = VOCABULARY - len(alphabet.seen)
        self._unseen_log_odds = math.log(alphabet.escape / (1 - alphabet.escape) / num_unseen)

    def byte_rows(self) -> list[Tensor]:
        """The parameters (V, D) of which each row belongs to a byte."""
        if self.config.family == "paper":
            return [self.embedding.weight]
        return [self.embedding.weight, self.head.weight]

    def forward(self, x_BT: Tensor) -> Tensor:
        """Logits (B, T, V) for bytes (B, T), T at most the window.

        If the softmax is restricted, they are float32, and those of the other bytes such that
        together they have the probability of the escape.
        """
        logits = self._logits(x_BT)
        if self.seen_S is None:
            return logits
        logits_BTS = logits.float()
        unseen_BT1 = logits_BTS.logsumexp(dim=2, keepdim=True) + self._unseen_log_odds
        return unseen_BT1.repeat(1, 1, VOCABULARY).index_copy_(2, self.seen_S, logits_BTS)

    def _logits(self, x_BT: Tensor) -> Tensor:
        """Logits of all bytes, (B, T, V), or of those that the softmax is over, (B, T, S)."""
        n_BTD: Tensor = self.final_norm(self._stream(x_BT))
        if self.config.family == "default":
            return F.linear(n_BTD, self._output_rows())
        # t5x computes logits in float32 for stability, and divides tied ones by sqrt(D).
        with torch.autocast(x_BT.device.type, enabled=False):
            scaled_BTD: Tensor = n_BTD.float() * self.config.width**-0.5
            return F.linear(scaled_BTD, self._output_rows().float())

    def _output_rows(self) -> Tensor:
        rows_VD = self.byte_rows()[-1]
        return rows_VD if self.seen_S is None else rows_VD.index_select(0, self.seen_S)

    def _stream(self, x_BT: Tensor) -> Tensor:
        """What the last block gives; (B, T, D)."""
        document_BT = document_numbers(x_BT) if self.config.mask_documents else None
        x_BTD: Tensor = self.embedding(x_BT)
        T = x_BT.shape[1]
        if self.config.family == "paper":
            around = self.position_bias(T, document_BT)
        else:
            around = Surroundings.of(x_BTD, self.cos_TF[:T], self.sin_TF[:T], document_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, around)
        return x_BTD

    def loss(
        self, x_BT: Tensor, y_BT: Tensor, reduction: str = "mean", z_loss: float = 0.0
    ) -> Tensor:
        """Cross-entropy in nats per byte; targets of -100 are not counted.

        With `z_loss` the gradient, and it alone, is that of cross-entropy + z_loss * log(Z)^2
        (PaLM, arXiv 2204.02311, section 5; t5x's `cross_entropy_with_logits`): the value stays the
        cross-entropy, so that losses of any weight can be compared. `reduction` is "mean" or "sum".
        If the softmax is restricted, it is the cross-entropy over the seen bytes.
        """
        if self.place_V is not None:
            y_BT = torch.where(y_BT < 0, y_BT, self.place_V[y_BT.clamp(min=0)])
        if self.config.family == "default" and by_hand(self.embedding.weight):
            x_BTD = self._stream(x_BT)
            return head_loss(
                x_BTD, self.final_norm.weight, self._output_rows(), y_BT, mean=reduction == "mean",
                z_loss=z_loss, dtype=product_dtype(x_BTD),
            )  # fmt: skip
        logits = self(x_BT) if self.seen_S is None else self._logits(x_BT)
        logits_NV = logits.flatten(0, 1).float()
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
