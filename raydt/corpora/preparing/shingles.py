"""Shingles of documents: 48 consecutive bytes, sampled by their first four bytes.

So the same text is sampled at the same places wherever it is (Manber, "Finding similar files in a
large file system", 1994). N = bytes, D = documents, S = shingles, W = words of a shingle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHINGLE_BYTES = 48
SAMPLED = 64  # one shingle in this many
SAMPLED_OF_FEW = 8  # for few documents
WORD_BYTES = 8
_GLANCE = slice(16, 32)  # the bytes of a shingle in its quick hash
_BLOCK_BYTES = 2**20


def sampled_begins(
    data: NDArray[np.uint8], one_in: int = SAMPLED
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sorted positions of sampled shingles in bytes (N,), even ones and odd ones.

    A shingle may extend into the next document (`inside_documents`), but not beyond the end.
    """
    num_starts = len(data) - SHINGLE_BYTES + 1
    # 16-bit words at even and then at odd positions, instead of 32-bit words at all four: half the
    # work. They are copied, because NumPy needs twice as long for unaligned words, block by block
    # into reused arrays that stay in the cache.
    block = min(_BLOCK_BYTES, max(0, num_starts))
    copied = np.empty(block // 2 + 2, dtype="<u2")
    mixed, second = np.empty((2, block // 2 + 1), dtype=np.uint16)
    is_sampled = np.zeros(8 * (block // 16 + 2), dtype=bool)
    found: tuple[list[NDArray[np.int64]], ...] = ([], [])
    for start in range(0, num_starts, _BLOCK_BYTES):
        for parity in range(2):
            first = start + parity
            num = (min(start + _BLOCK_BYTES, num_starts) - first + 1) // 2
            words = copied[: num + 1]
            words.view(np.uint8)[:] = data[first : first + 2 * num + 2]
            np.multiply(words[:-1], np.uint16(0x9E37), out=mixed[:num])
            np.multiply(words[1:], np.uint16(0x79B1), out=second[:num])
            np.add(mixed[:num], second[:num], out=mixed[:num])
            np.less(mixed[:num], 2**16 // one_in, out=is_sampled[:num])
            is_sampled[num:] = False
            found[parity].append(2 * _where(is_sampled) + first)
    even, odd = (np.concatenate([np.zeros(0, np.int64), *each]) for each in found)
    return even, odd


def _where(is_set: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`np.flatnonzero` for a length divisible by eight, faster if few are set."""
    eights = is_set.view(np.uint64)
    some = np.flatnonzero(eights.astype(bool))
    places = np.flatnonzero(eights[some].view(bool))
    found: NDArray[np.int64] = 8 * some[places >> 3] + (places & 7)
    return found


def inside_documents(
    begins: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The shingles among (S,) that are inside one document: its index, and where they begin."""
    owners = np.searchsorted(offsets, begins, side="right") - 1
    # The separator is not part of the document.
    inside = begins + SHINGLE_BYTES < offsets[owners + 1]
    return owners[inside], begins[inside]


def num_sampled(
    sampled: tuple[NDArray[np.int64], ...], offsets: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The number of sampled shingles of the chosen documents (C,)."""
    first = offsets[chosen]
    last = np.maximum(first, offsets[chosen + 1] - SHINGLE_BYTES)
    counts = np.zeros(len(chosen), dtype=np.int64)
    for begins in sampled:  # each sorted
        counts += np.searchsorted(begins, last) - np.searchsorted(begins, first)
    return counts


def shingle_glances(data: NDArray[np.uint8], begins: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Quick hashes of shingles (S,), of some of their bytes; equal shingles have equal ones."""
    return mix(_words(data[_GLANCE.start :], begins, _GLANCE.stop - _GLANCE.start))


def shingle_hashes(data: NDArray[np.uint8], begins: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes (S,) of whole shingles."""
    return mix(_words(data, begins, SHINGLE_BYTES))


def _words(
    data: NDArray[np.uint8], begins: NDArray[np.int64], num_bytes: int
) -> NDArray[np.uint64]:
    """The bytes from each of `begins` (S,) as words, (S, W)."""
    if not len(begins):
        return np.zeros((0, num_bytes // WORD_BYTES), dtype=np.uint64)
    # Overlapping words, one per position: NumPy gathers these several times faster than rows of
    # bytes.
    num_positions = len(data) - num_bytes + 1
    windows: NDArray[np.void] = np.ndarray((num_positions,), f"V{num_bytes}", data, 0, (1,))
    return windows[begins].view(np.uint64).reshape(len(begins), -1)


def mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash rows (S, W) of words to (S,), with the same results on every machine."""
    state = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        state = (state ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(32)
    return state * np.uint64(0xD6E8FEB86659FD93)
