"""Hierarchy without words: nested brackets of four kinds.

The depth is a random walk that opens less often than it closes, so trees are shallow mostly and
deep now and then (each level is about 0.8 as frequent as the one above), and which kind of bracket
stands in which is a preference, the same in all documents of a language. Every document is
balanced. A model gains by counting, by remembering what is open, and by the preferences.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.splits import SEPARATOR

OPENING = np.frombuffer(b"([{<", dtype=np.uint8)
CLOSING = np.frombuffer(b")]}>", dtype=np.uint8)
NUM_KINDS = len(OPENING)
_OPENS = 115  # of 256 steps
# A document ends with the first tree that makes it so long. Shorter ones would come again by
# chance, in another split too.
_MIN_BYTES, _MAX_MIN_BYTES = 128, 352
# Frequencies (of 256) of the four kinds inside one kind, in an order that depends on the language.
_CHILD_WEIGHTS = (154, 64, 25, 13)
_TOP_WEIGHTS = (64,) * NUM_KINDS
STEPS_PER_CHUNK = 1 << 16


def build_preferences(seed: int) -> NDArray[np.intp]:
    """The kind that a random byte chooses, (outer kind, byte); the last row is of the top."""
    rng = np.random.default_rng([seed, 8])
    weights = np.array([*(rng.permutation(_CHILD_WEIGHTS) for _ in range(NUM_KINDS)), _TOP_WEIGHTS])
    kinds = np.tile(np.arange(NUM_KINDS), NUM_KINDS + 1)
    return np.repeat(kinds, weights.ravel()).reshape(NUM_KINDS + 1, 256)


def write_brackets(preferences: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Balanced documents, each ended by byte 0, of about `STEPS_PER_CHUNK` bytes together."""
    opens, depth = _walk(rng)
    # A bracket and the one that closes it are next to each other among those of their level.
    level = (depth + ~opens).astype(np.int16)
    in_order = level.argsort(kind="stable")
    opening, closing = in_order[::2].copy(), in_order[1::2].copy()
    kind = _kinds(opening, opens, level.take(opening), preferences, rng)
    ends = _document_ends(depth, rng)
    place = np.arange(len(depth))
    place[1:] += ends[:-1].cumsum()  # a separator before it for each document
    text = np.full(int(place[-1]) + 2, SEPARATOR, dtype=np.uint8)
    text[place.take(opening)] = OPENING.take(kind)
    text[place.take(closing)] = CLOSING.take(kind)
    return text


def _walk(rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Whether each bracket opens, and the depth after it; ends at depth 0."""
    opens = rng.integers(0, 256, STEPS_PER_CHUNK, dtype=np.uint8) < _OPENS
    opens[:2] = True, False  # at least one tree
    height = (opens * np.int8(2) - np.int8(1)).cumsum(dtype=np.int32)
    # Where there is nothing to close the step is left out, and the ground sinks by one.
    ground = np.minimum.accumulate(np.minimum(height, 0))
    real = np.append(True, ground[1:] == ground[:-1])
    depth = (height - ground)[real]
    end = np.flatnonzero(depth == 0)[-1] + 1
    return opens[real][:end], depth[:end]


def _document_ends(depth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether a document ends after each bracket; after the last one always."""
    tree_ends = np.flatnonzero(depth == 0).tolist()
    least = rng.integers(_MIN_BYTES, _MAX_MIN_BYTES, len(depth) // _MIN_BYTES + 1).tolist()
    ends = np.zeros(len(depth), dtype=np.bool_)
    begin = 0
    for num_bytes in least:
        # The last document has the trees that are left, and these may be too few for two.
        if begin + num_bytes + _MIN_BYTES > len(depth):
            break
        end = tree_ends[bisect_left(tree_ends, begin + num_bytes - 1)]
        if end + 1 + _MIN_BYTES > len(depth):
            break
        ends[end] = True
        begin = end + 1
    ends[-1] = True
    return ends


def _kinds(
    opening: NDArray[np.intp],
    opens: NDArray[np.bool_],
    level: NDArray[np.int16],
    preferences: NDArray[np.intp],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """The kind of each pair; pairs come level by level, and in order within a level."""
    number = np.empty(len(opens), dtype=np.intp)
    number[opening] = np.arange(len(opening))
    # A first child follows its parent; the others have the parent of the one before them. At the
    # top there is no parent, and nothing is read of what stands here.
    before = opening - 1
    parent = np.maximum.accumulate(np.where(opens.take(before), number.take(before), 0))
    byte = rng.integers(0, 256, len(opening), dtype=np.uint8).astype(np.intp)
    kind = np.empty(len(opening), dtype=np.intp)
    starts = np.searchsorted(level, np.arange(1, int(level[-1]) + 2)).tolist()
    kind[: starts[1]] = preferences[NUM_KINDS].take(byte[: starts[1]])
    by_outer_and_byte = preferences.ravel()
    for start, stop in pairwise(starts[1:]):
        outer = kind.take(parent[start:stop])
        kind[start:stop] = by_outer_and_byte.take(outer * 256 + byte[start:stop])
    return kind
