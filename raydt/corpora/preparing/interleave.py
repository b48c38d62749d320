"""Interleave documents of several languages such that every prefix has their shares, to within a
document.

The rule is that of fair queueing (WF2Q; Bennett and Zhang, INFOCOM 1996): among the languages with
at most their share so far, take the one whose share would be reached first with its next document.
So of N bytes each language has its share, plus or minus at most one document (its longest, or the
longest of all), however many languages there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR

_LOOK_BYTES = 2**22  # searched for separators at a time


def interleave(
    streams: Sequence[NDArray[np.uint8]], shares: Sequence[Fraction]
) -> Iterator[tuple[int, int, int]]:
    """Yield the next stream, and the begin and end of its next document, including the separator.

    `streams` are (N,) each, of documents that end with the separator; a last one without it is
    ignored. `shares` add up to 1. It ends at the turn of an exhausted stream, so longer streams
    only extend the sequence.
    """
    assert sum(shares) == 1
    ends = [document_ends(stream) for stream in streams]
    whole = lcm(*(share.denominator for share in shares))
    weights = [int(share * whole) for share in shares]
    per_weight = [lcm(*weights) // weight for weight in weights]  # integers are exact and fast
    begins, nexts = [0] * len(streams), [next(each, None) for each in ends]
    total = 0
    while True:
        may = [k for k, begin in enumerate(begins) if begin * whole <= weights[k] * total]
        used_up: list[tuple[int, int, int]] = []
        for k in may:
            end = nexts[k]
            if end is None:
                return
            used_up.append((end * per_weight[k], k, end))
        _, k, end = min(used_up)
        yield k, begins[k], end
        total += end - begins[k]
        begins[k], nexts[k] = end, next(ends[k], None)


def document_ends(stream: NDArray[np.uint8]) -> Iterator[int]:
    """The end of each document, including its separator; a last one without it is ignored."""
    for start in range(0, len(stream), _LOOK_BYTES):
        places = np.flatnonzero(stream[start : start + _LOOK_BYTES] == SEPARATOR)
        yield from (places + start + 1).tolist()
