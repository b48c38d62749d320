"""What a model makes of minimal pairs: how often the good text has the higher probability.

A text's log-probability is the sum over its bytes, each given those before it, after a separator.
As texts of a pair may differ in length, the sum and not the mean decides, as in BLiMP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from raydt.model.decoder import IGNORED_TARGET, Decoder
from raydt.probes.pairs import Pair
from raydt.training.evaluate import Evaluator

_TEXTS_AT_ONCE = 32


@dataclass(frozen=True)
class Accuracy:
    """Of how many pairs the good text is the more probable; a tie counts half."""

    num_right: float
    num_pairs: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0.5 is what guessing has."""
        return self.num_right / self.num_pairs

    @property
    def stderr(self) -> float:
        """Over pairs."""
        return float(np.sqrt(self.share * (1 - self.share) / self.num_pairs))


def accuracies(model: Decoder, pairs: Sequence[Pair]) -> dict[str, Accuracy]:
    """Of a model on pairs, by their kinds, computed in float32."""
    texts = list({text for pair in pairs for text in (pair.good, pair.bad)})
    nats = dict(zip(texts, text_nats(model, texts), strict=True))
    right: dict[str, list[float]] = {}
    for pair in pairs:
        margin = nats[pair.bad] - nats[pair.good]
        right.setdefault(pair.kind, []).append((1 + np.sign(margin)) / 2)
    return {kind: Accuracy(float(sum(each)), len(each)) for kind, each in right.items()}


def overall(by_kind: Mapping[str, Accuracy]) -> Accuracy:
    """Over the pairs of all kinds."""
    every = by_kind.values()
    return Accuracy(sum(one.num_right for one in every), sum(one.num_pairs for one in every))


def text_nats(model: Decoder, texts: Sequence[bytes]) -> NDArray[np.float64]:
    """Minus the log-probability of each text, in nats; (len(texts),).

    A text that is longer than the window is computed in windows that overlap by half.
    """
    window = model.config.window_bytes
    nats = np.zeros(len(texts))
    short = [place for place, text in enumerate(texts) if len(text) <= window]
    evaluator = Evaluator(window // 2, precision="float32")
    for place in set(range(len(texts))).difference(short):
        data = np.frombuffer(texts[place], dtype=np.uint8)
        nats[place] = evaluator.byte_losses(model, data).sum()
    for start in range(0, len(short), _TEXTS_AT_ONCE):
        places = short[start : start + _TEXTS_AT_ONCE]
        nats[places] = _short(model, [texts[place] for place in places])
    return nats


def _short(model: Decoder, texts: Sequence[bytes]) -> NDArray[np.float64]:
    """Of texts within a window, each at the end of one that begins with separators, as a split is
    evaluated."""
    window = model.config.window_bytes
    device = next(model.parameters()).device
    row_BT1 = torch.zeros(len(texts), window + 1, dtype=torch.long)
    for row, text in zip(row_BT1, texts, strict=True):
        row[window + 1 - len(text) :] = torch.tensor(list(text))
    y_BT = row_BT1[:, 1:].clone()
    for row, text in zip(y_BT, texts, strict=True):
        row[: window - len(text)] = IGNORED_TARGET
    with torch.inference_mode():
        logits = model(row_BT1[:, :-1].to(device)).float()
        loss_BT = F.cross_entropy(
            logits.mT, y_BT.to(device), reduction="none", ignore_index=IGNORED_TARGET
        )
    found: NDArray[np.float64] = loss_BT.double().sum(dim=1).cpu().numpy()
    return found
