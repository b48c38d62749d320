"""The base class of byte-level decoders: a softmax over bytes, and its loss.

Shape suffixes: B batch, T bytes of a window, D width, V vocabulary, S bytes in the softmax, N = B
T.

`default.py` is raydt's own family, `paper.py` the published model, `hub.py` models that
`transformers` builds; `families.py` makes any of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydt.config.model import VOCABULARY, ModelConfig
from raydt.model.alphabet import Alphabet

IGNORED_TARGET = -100  # a target that is not counted


class Decoder(nn.Module, ABC):
    """Maps bytes to the distribution of the next byte."""

    seen_S: Tensor | None  # None: all 256
    place_V: Tensor | None  # the index of each byte among the seen ones
    blocks: nn.ModuleList  # all alike

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.is_compiled = False
        self.register_buffer("seen_S", None, persistent=False)
        self.register_buffer("place_V", None, persistent=False)

    def compile_blocks(self) -> None:
        """Compile each block for training. They are alike, so the compiler works only once."""
        self.is_compiled = True
        for block in self.blocks:
            block.compile()

    @staticmethod
    def run_block(block: nn.Module, *arguments: object) -> Tensor:
        """Call `block`; its compiled version is only used for training, because evaluations have
        other shapes, for which the compiler would work again."""
        run = block if torch.is_grad_enabled() else block.forward
        result: Tensor = run(*arguments)
        return result

    @abstractmethod
    def logits(self, x_BT: Tensor) -> Tensor:
        """Logits of all bytes, (B, T, V), or of those in the softmax, (B, T, S)."""

    @abstractmethod
    def byte_rows(self) -> list[Tensor]:
        """The parameters (V, D) with one row per byte, the output's last; empty for a family whose
        rows do not belong to bytes."""

    @abstractmethod
    def matrices(self) -> list[Tensor]:
        """The hidden matrices, which Muon trains; AdamW trains the rest."""

    def forward(self, x_BT: Tensor) -> Tensor:
        """Logits (B, T, V) for bytes (B, T), T at most the window.

        If the softmax is restricted, they are float32, and the logits of the other bytes are such
        that together they have the probability of the escape.
        """
        logits = self.logits(x_BT)
        if self.seen_S is None:
            return logits
        logits_BTS = logits.float()
        unseen_BT1 = logits_BTS.logsumexp(dim=2, keepdim=True) + self._unseen_log_odds
        return unseen_BT1.repeat(1, 1, VOCABULARY).index_copy_(2, self.seen_S, logits_BTS)

    def loss(
        self, x_BT: Tensor, y_BT: Tensor, reduction: str = "mean", z_loss: float = 0.0
    ) -> Tensor:
        """Cross-entropy in nats per byte; targets of -100 are ignored.

        With `z_loss`, only the gradient is that of cross-entropy + z_loss * log(Z)^2 (PaLM, arXiv
        2204.02311, section 5; t5x's `cross_entropy_with_logits`). The value is still the
        cross-entropy, so that losses with any `z_loss` are comparable. `reduction` is "mean" or
        "sum". If the softmax is restricted, it is the cross-entropy over the seen bytes.
        """
        if self.place_V is not None:
            y_BT = torch.where(y_BT < 0, y_BT, self.place_V[y_BT.clamp(min=0)])
        logits = self(x_BT) if self.seen_S is None else self.logits(x_BT)
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

    def restrict(self, alphabet: Alphabet) -> None:
        """Restrict the softmax to the bytes of `alphabet`, if that has an escape for all others."""
        self.seen_S = self.place_V = None
        if alphabet.escape is None:
            return
        device = next(self.parameters()).device
        self.seen_S = torch.tensor(sorted(alphabet.seen), device=device)
        # The index of an unseen byte is out of range, so it is an error as a training target.
        self.place_V = torch.full((VOCABULARY,), len(alphabet.seen), device=device)
        self.place_V[self.seen_S] = torch.arange(len(alphabet.seen), device=device)
        num_unseen = VOCABULARY - len(alphabet.seen)
        self._unseen_log_odds = math.log(alphabet.escape / (1 - alphabet.escape) / num_unseen)

    def output_rows(self) -> Tensor:
        """The output rows of the bytes in the softmax, (V, D) or (S, D)."""
        rows_VD = self.byte_rows()[-1]
        return rows_VD if self.seen_S is None else rows_VD.index_select(0, self.seen_S)
