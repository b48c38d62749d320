"""The accuracy of a model on minimal pairs: how often the good text is more probable.

A text's log-probability is the sum over its bytes, each given the bytes before it and a leading
separator. The sum decides and not the mean, as in BLiMP, even if the two texts differ in length.
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
    """The number of pairs whose good text is more probable; a tie counts half."""

    num_right: float
    num_pairs: int

    @property
    def share(self) -> float:
        """The accuracy, from 0 to 1; chance is 0.5."""
        return self.num_right / self.num_pairs

    @property
    def stderr(self) -> float:
        """The standard error of `share`, over pairs."""
        return float(np.sqrt(self.share * (1 - self.share) / self.num_pairs))


def accuracies(model: Decoder, pairs: Sequence[Pair]) -> dict[str, Accuracy]:
    """The accuracy of a model by kind of pair, computed in float32."""
    texts = list({text for pair in pairs for text in (pair.good, pair.bad)})
    nats = dict(zip(texts, text_nats(model, texts), strict=True))
    right: dict[str, list[float]] = {}
    for pair in pairs:
        margin = nats[pair.bad] - nats[pair.good]
        right.setdefault(pair.kind, []).append((1 + np.sign(margin)) / 2)
    return {kind: Accuracy(float(sum(each)), len(each)) for kind, each in right.items()}


def overall(by_kind: Mapping[str, Accuracy]) -> Accuracy:
    """The accuracy over the pairs of all kinds."""
    every = by_kind.values()
    return Accuracy(sum(one.num_right for one in every), sum(one.num_pairs for one in every))


def text_nats(model: Decoder, texts: Sequence[bytes]) -> NDArray[np.float64]:
    """The negative log-probability of each text after a separator, in nats; (len(texts),).

    A text longer than the window is computed in windows that overlap by half.
    """
    window = model.config.window_bytes
    nats = np.zeros(len(texts))
    evaluator = Evaluator(window // 2, precision="float32")
    # Sorted by length: less padding to compute.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    short = [place for place in order if len(texts[place]) <= window]
    for place in order[len(short) :]:
        data = np.frombuffer(texts[place], dtype=np.uint8)
        nats[place] = evaluator.byte_losses(model, data).sum()
    for start in range(0, len(short), _TEXTS_AT_ONCE):
        places = short[start : start + _TEXTS_AT_ONCE]
        nats[places] = _short(model, [texts[place] for place in places])
    return nats


def _short(model: Decoder, texts: Sequence[bytes]) -> NDArray[np.float64]:
    """`text_nats` of texts that fit the window; padding is at the end, so causal attention ignores
    it."""
    device = next(model.parameters()).device
    longest = max(map(len, texts))
    x_BT = torch.zeros(len(texts), longest, dtype=torch.long)
    y_BT = torch.full((len(texts), longest), IGNORED_TARGET)
    for x_T, y_T, text in zip(x_BT, y_BT, texts, strict=True):
        y_T[: len(text)] = torch.tensor(list(text))
        x_T[1 : len(text)] = y_T[: len(text) - 1]
    with torch.inference_mode():
        logits = model(x_BT.to(device)).float()
        loss_BT = F.cross_entropy(
            logits.mT, y_BT.to(device), reduction="none", ignore_index=IGNORED_TARGET
        )
    found: NDArray[np.float64] = loss_BT.double().sum(dim=1).cpu().numpy()
    return found
