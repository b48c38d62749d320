"""Hierarchy without words: nested brackets of four kinds.

The depth is a random walk that opens less often than it closes, so trees are shallow mostly and
deep now and then (each level is about 0.8 as frequent as the one above), and which kind of bracket
stands in which is a preference, the same in all documents of a language. Every document is
balanced. A model gains by counting, by remembering what is open, and by the preferences.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR

OPENING = np.frombuffer(b"([{<", dtype=np.uint8)
CLOSING = np.frombuffer(b")]}>", dtype=np.uint8)
NUM_KINDS = len(OPENING)
_OPENS = 115  # of 256 steps
_TREE_ENDS_DOCUMENT = 0.04  # a tree has 11 bytes on average, a document about 250
_CHILD_WEIGHTS = (0.6, 0.25, 0.1, 0.05)
_TOP_WEIGHTS = (0.25,) * NUM_KINDS
STEPS_PER_CHUNK = 1 << 16


def build_preferences(seed: int) -> NDArray[np.float64]:
    """Which kind stands in which, cumulative: (outer kind, kind); the last row is of the top."""
    rng = np.random.default_rng([seed, 8])
    weights = np.array([*(rng.permutation(_CHILD_WEIGHTS) for _ in range(NUM_KINDS)), _TOP_WEIGHTS])
    cumulative: NDArray[np.float64] = weights.cumsum(axis=1)
    return cumulative


def write_brackets(preferences: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Balanced documents, each ended by byte 0, of about `STEPS_PER_CHUNK` bytes together."""
    opens, depth = _walk(rng)
    # A bracket and the one that closes it are next to each other among those of their level.
    level = (depth + ~opens).astype(np.int16)
    pair = level.argsort(kind="stable").reshape(-1, 2)
    kind = _kinds(pair[:, 0], level[pair[:, 0]], preferences, rng)
    text = np.empty(len(depth), dtype=np.uint8)
    text[pair[:, 0]] = OPENING[kind]
    text[pair[:, 1]] = CLOSING[kind]

    tree_end = np.flatnonzero(depth == 0)
    last = rng.random(len(tree_end)) < _TREE_ENDS_DOCUMENT
    last[-1] = True
    documents: NDArray[np.uint8] = np.insert(text, tree_end[last] + 1, SEPARATOR)
    return documents


def _walk(rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each bracket opens, and the depth after it; ends at depth 0."""
    opens = rng.integers(0, 256, STEPS_PER_CHUNK, dtype=np.uint8) < _OPENS
    opens[:2] = True, False  # at least one tree
    height = np.where(opens, 1, -1).cumsum()
    # Where there is nothing to close the step is left out, and the ground sinks by one.
    ground = np.minimum.accumulate(np.minimum(height, 0))
    real = np.append(True, ground[1:] == ground[:-1])
    depth = (height - ground)[real]
    end = np.flatnonzero(depth == 0)[-1] + 1
    return opens[real][:end], depth[:end]


def _kinds(
    opening: NDArray[np.intp],
    level: NDArray[np.int16],
    preferences: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """The kind of each pair; pairs come level by level, and in order within a level."""
    kind = np.empty(len(opening), dtype=np.intp)
    point = rng.random((len(opening), 1))
    starts = np.searchsorted(level, np.arange(1, int(level[-1]) + 2))
    outer = slice(0, 0)
    for start, stop in pairwise(starts):
        here = slice(int(start), int(stop))
        if outer.stop == outer.start:
            row = np.full(stop - start, NUM_KINDS)
        else:
            row = kind[outer][np.searchsorted(opening[outer], opening[here]) - 1]
        # Without the last weight: rounding may leave the total short of one.
        kind[here] = (preferences[row, :-1] <= point[here]).sum(axis=1)
        outer = here
    return kind
