"""The bytes that a model has seen in training, and the treatment of those that it has not.

A softmax over all 256 bytes pushes the rows of unseen bytes away in one common direction, for as
long as it trains, because nothing pulls them back, and Adam keeps these steps at full size. The
loss of a finetune on another script then depends on how far they moved.

So the softmax can be restricted to the seen bytes. All others together have one fixed probability,
the escape, and share it evenly; their rows get no gradient and no weight decay. The escape is the
Good-Turing estimate (Good 1953) of the probability that the next byte is new, singletons / n, with
one added as in the rule of succession, so that it is never zero:

    escape = (bytes that occurred once + 1) / (n + 2)

The rule is the same in every stage. Seen bytes are those of a cell's own training data, those that
its parent has seen, and the separator, which precedes every text. n and the singletons are those of
its own data, without bytes that the parent has seen, which are not new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydt.config.model import VOCABULARY

_SEPARATOR = 0
_BYTES_AT_ONCE = 2**20  # counted as int64 in pieces of 8 MB, because the data is memory-mapped


@dataclass(frozen=True)
class Alphabet:
    """The bytes that a cell and its parents have seen.

    `escape` is the probability of all others together; None: the softmax is over all 256 bytes.
    """

    seen: frozenset[int]
    escape: float | None = None

    @classmethod
    def of_data(
        cls, data: NDArray[np.uint8], parent: Alphabet | None = None, *, escapes: bool
    ) -> Alphabet:
        """The alphabet of a cell that trains on `data` (n,), with the alphabet of its parent."""
        count_V = byte_counts(data)
        known = (frozenset() if parent is None else parent.seen) | {_SEPARATOR}
        seen = known | set(np.flatnonzero(count_V).tolist())
        if not escapes or len(seen) == VOCABULARY:
            return cls(seen)
        num_singletons = len(set(np.flatnonzero(count_V == 1).tolist()) - known)
        return cls(seen, (num_singletons + 1) / (len(data) + 2))

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Alphabet | None:
        """The alphabet in the metadata of weights; None for weights of versions without it."""
        if "seen_bytes" not in metadata:
            return None
        bits_V = np.unpackbits(np.frombuffer(bytes.fromhex(metadata["seen_bytes"]), np.uint8))
        escape = metadata.get("escape")
        return cls(
            frozenset(np.flatnonzero(bits_V).tolist()), None if escape is None else float(escape)
        )

    def metadata(self) -> dict[str, str]:
        """The metadata to store with the weights, without loss of precision."""
        is_seen_V = np.zeros(VOCABULARY, dtype=bool)
        is_seen_V[sorted(self.seen)] = True
        texts = {"seen_bytes": np.packbits(is_seen_V).tobytes().hex()}
        return texts if self.escape is None else {**texts, "escape": repr(self.escape)}

    def unseen_share(self, data: NDArray[np.uint8]) -> float:
        """The share of the bytes of `data` (n,) that are unseen."""
        count_V = byte_counts(data)
        return float(1 - count_V[sorted(self.seen)].sum() / len(data))


# For weights without a record: they may have seen any byte, and all their rows were trained.
EVERY_BYTE = Alphabet(frozenset(range(VOCABULARY)))


def byte_counts(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The number of occurrences of each byte in `data` (n,), which may be memory-mapped; (256,)."""
    count_V = np.zeros(VOCABULARY, dtype=np.int64)
    for start in range(0, len(data), _BYTES_AT_ONCE):
        count_V += np.bincount(data[start : start + _BYTES_AT_ONCE], minlength=VOCABULARY)
    return count_V
