"""Interleave documents of several languages so that every prefix has their shares, to within one
document.

The rule is that of fair queueing (WF2Q; Bennett and Zhang, INFOCOM 1996): among the languages that
have at most their share so far, take the one whose next document brings it to its share first. So
each language has its share of the first N bytes, plus or minus at most one document (its longest,
or the longest of all), however many languages there are.
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
    """Yield, document by document, the number of its stream and its begin and end there, including
    the separator.

    `streams` are (N,) each, of documents that end with the separator; a last one without it is
    ignored. `shares` add up to 1. The sequence ends when an exhausted stream would be next, so
    longer streams only extend it.
    """
    assert sum(shares) == 1
    ends = [document_ends(stream) for stream in streams]
    whole = lcm(*(share.denominator for share in shares))
    weights = [int(share * whole) for share in shares]
    per_weight = [lcm(*weights) // weight for weight in weights]  # integers are exact and fast
    begins, nexts = [0] * len(streams), [next(each, None) for each in ends]
    total = 0
    while True:
        eligible = [k for k, begin in enumerate(begins) if begin * whole <= weights[k] * total]
        finishes: list[tuple[int, int, int]] = []
        for k in eligible:
            end = nexts[k]
            if end is None:
                return
            finishes.append((end * per_weight[k], k, end))
        _, k, end = min(finishes)
        yield k, begins[k], end
        total += end - begins[k]
        begins[k], nexts[k] = end, next(ends[k], None)


def document_ends(stream: NDArray[np.uint8]) -> Iterator[int]:
    """The end of each document, including its separator; a last one without it is ignored."""
    for start in range(0, len(stream), _LOOK_BYTES):
        places = np.flatnonzero(stream[start : start + _LOOK_BYTES] == SEPARATOR)
        yield from (places + start + 1).tolist()
