"""Documents of several languages by turns: every prefix has the shares to within a document.

The rule is that of fair queueing: the next document is of a language that has no more than its
share of what there is so far, and of those of the one whose share would be used up first with it
(WF2Q; Bennett and Zhang, INFOCOM 1996). Of N bytes a language then has its share, and no more than
a document (its longest, or the longest of all) more or less, however many languages there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR

_LOOK_BYTES = 2**22  # at once for separators


def take_turns(
    streams: Sequence[NDArray[np.uint8]], shares: Sequence[Fraction]
) -> Iterator[tuple[int, int, int]]:
    """Which stream comes next, and from where to where: a document, its separator included.

    `streams` are (N,) each, of documents ended by the separator, of which a last one without is
    none; `shares` add up to 1. It ends when it is the turn of a stream that has no more: no longer
    streams give another beginning.
    """
    assert sum(shares) == 1
    ends = [_ends(stream) for stream in streams]
    whole = lcm(*(share.denominator for share in shares))
    weights = [int(share * whole) for share in shares]
    per_weight = [
        lcm(*weights) // weight for weight in weights
    ]  # whole numbers are exact, and fast
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


def _ends(stream: NDArray[np.uint8]) -> Iterator[int]:
    """Where each document ends, its separator included."""
    for start in range(0, len(stream), _LOOK_BYTES):
        places = np.flatnonzero(stream[start : start + _LOOK_BYTES] == SEPARATOR)
        yield from (places + start + 1).tolist()
