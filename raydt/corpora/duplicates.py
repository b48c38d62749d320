"""Documents that stand in more than one split.

Exact: equal 64-bit hashes (XXH3) of the bytes; two different documents among a thousand million
pairs are taken for equal with a probability of 1e-10.

Near: a document is a near duplicate if at least half of its sampled shingles, and at least two,
are among those of the split it is compared with. A shingle is 48 consecutive bytes of one
document; sampled are those whose first four bytes hash to 0 modulo 64, so that the same text is
sampled at the same places wherever it stands (Manber, "Finding similar files in a large file
system", 1994). A document of less than about 200 bytes is compared exactly only.

The memory this takes is that of the held-out splits: 8 bytes a document and 1/8 of their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import xxhash
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from raydt.corpora.documents import parts

_SHINGLE_BYTES = 48
_SAMPLED = 64  # one shingle in so many
_MIN_SHARED = 2
_BLOCK_BYTES = 2**20
_FILTER_BITS = 24
_WORD_BYTES = 8

DUPLICATES_RULE = (
    "of documents in two splits test keeps its own, then val; equal: XXH3-64 of the bytes; near: "
    f"at least half, and {_MIN_SHARED} or more, of the shingles of {_SHINGLE_BYTES} bytes that "
    f"begin with four bytes hashing to 0 modulo {_SAMPLED} are in the other split"
)


class HeldOut:
    """What the splits so far contain, so that later ones can be kept from having it too."""

    def __init__(self) -> None:
        self._hashes: list[NDArray[np.uint64]] = []
        self._shingles: list[NDArray[np.uint64]] = []
        self._glances: list[NDArray[np.uint64]] = []
        self._known_hashes = np.zeros(0, dtype=np.uint64)
        self._known_shingles = np.zeros(0, dtype=np.uint64)
        self._filter = np.zeros(2**_FILTER_BITS, dtype=bool)
        self._seen = np.zeros(2**_FILTER_BITS, dtype=bool)  # the same of whole documents

    def add(self, documents: pa.LargeBinaryArray) -> None:
        """Remember documents; they count from `close` on."""
        if not len(documents):
            return
        self._hashes.append(_hashes(documents, np.arange(len(documents))))
        self._glances.append(_slots(_glances(documents)))
        _, shingles = _sample(documents)
        self._shingles.append(shingles)

    def close(self) -> None:
        """All documents of a split are added."""
        self._known_hashes = _distinct(self._known_hashes, *self._hashes)
        self._known_shingles = _distinct(self._known_shingles, *self._shingles)
        self._filter[_slots(self._known_shingles)] = True
        for slots in self._glances:
            self._seen[slots] = True
        self._hashes, self._shingles, self._glances = [], [], []

    def find(self, documents: pa.LargeBinaryArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which documents (D,) equal one that is known, and which others are near to some."""
        if not len(documents) or not len(self._known_hashes):
            none = np.zeros(len(documents), dtype=bool)
            return none, none
        equal = np.zeros(len(documents), dtype=bool)
        alike = np.flatnonzero(self._seen[_slots(_glances(documents))])
        equal[alike] = _is_in(_hashes(documents, alike), self._known_hashes)
        owners, shingles = _sample(documents)
        # Nearly all of them are unknown, and that is seen without searching for them.
        maybe = np.flatnonzero(self._filter[_slots(shingles)])
        shared = maybe[_is_in(shingles[maybe], self._known_shingles)]
        num_sampled = np.bincount(owners, minlength=len(documents))
        num_shared = np.bincount(owners[shared], minlength=len(documents))
        near = (num_shared >= _MIN_SHARED) & (2 * num_shared >= num_sampled) & ~equal
        return equal, near


def _slots(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Where in a filter hashes are."""
    return hashes >> np.uint64(64 - _FILTER_BITS)


def _hashes(documents: pa.LargeBinaryArray, chosen: NDArray[np.int64]) -> NDArray[np.uint64]:
    """XXH3-64 of the chosen documents (C,)."""
    data, offsets = parts(documents)
    view = memoryview(data)  # type: ignore[arg-type]
    begins, ends = offsets[chosen].tolist(), offsets[chosen + 1].tolist()
    digest = xxhash.xxh3_64_intdigest
    each = (digest(view[begin:end]) for begin, end in zip(begins, ends, strict=True))
    return np.fromiter(each, dtype=np.uint64, count=len(chosen))


def _glances(documents: pa.LargeBinaryArray) -> NDArray[np.uint64]:
    """Of each document (D,) a hash of its first and last eight bytes and its length.

    Equal documents look equal; a loop over documents is for those alone that do.
    """
    data, offsets = parts(documents)
    if len(data) < _WORD_BYTES:
        data = np.concatenate([data, np.zeros(_WORD_BYTES - len(data), dtype=np.uint8)])
    words = sliding_window_view(data, _WORD_BYTES)
    lengths = np.diff(offsets)
    seen = np.empty((len(documents), 3), dtype=np.uint64)
    # A document of less than a word: the word is moved until its first byte is the document's,
    # and what stands behind the document is cleared.
    starts = np.minimum(offsets[:-1], len(words) - 1)
    first = words[starts].view("<u8").ravel()
    first >>= (np.minimum(offsets[:-1] - starts, 7) * 8).astype(np.uint64)
    num_behind = np.clip(_WORD_BYTES - lengths, 0, 7).astype(np.uint64)
    seen[:, 0] = first & (np.uint64(2**64 - 1) >> (num_behind * np.uint64(8)))
    seen[:, 1] = words[np.maximum(offsets[1:] - _WORD_BYTES, 0)].view("<u8").ravel()
    seen[:, 1] *= lengths >= _WORD_BYTES
    seen[:, 2] = lengths
    return _mix(seen)


def _sample(documents: pa.LargeBinaryArray) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The sampled shingles of documents as hashes (S,), and the document (S,) each is of."""
    data, offsets = parts(documents)
    num_starts = len(data) - _SHINGLE_BYTES + 1
    owners, hashes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    if num_starts > 0:
        windows = sliding_window_view(data, _SHINGLE_BYTES)
        # Block by block: temporaries fit the cache, and odd text (all of it sampled) the memory.
        for start in range(0, num_starts, _BLOCK_BYTES):
            end = min(start + _BLOCK_BYTES, num_starts)
            # There are fewer documents than shingles, so it is the documents that are looked up.
            first, last = np.searchsorted(offsets, (start, end), side="right") - 1
            last = min(last, len(documents) - 1)
            for begins in _sampled(data[start : end + 3]):
                begins += start
                bounds = np.searchsorted(begins, offsets[first : last + 2])
                bounds[0], bounds[-1] = 0, len(begins)
                owner = np.repeat(np.arange(first, last + 1), np.diff(bounds))
                # The separator at its end is no part of a document.
                inside = begins + _SHINGLE_BYTES < offsets[owner + 1]
                owners.append(owner[inside])
                hashes.append(_mix(windows[begins[inside]].view(np.uint64)))
    return np.concatenate(owners), np.concatenate(hashes)


def _sampled(data: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Positions whose next four bytes hash to 0 modulo `_SAMPLED`: the even ones, then the odd."""
    # Words of 16 bits at the even and then at the odd positions, and not of 32 bits at all four:
    # half the work. They are copied, as words that are not aligned take NumPy twice as long.
    for parity in range(2):
        num_starts = (len(data) - 2 - parity) // 2
        if num_starts > 0:
            begin = data[parity : parity + 2 * num_starts + 2]
            words = begin.copy().view("<u2")
            mixed = words[:-1] * np.uint16(0x9E37)
            mixed += words[1:] * np.uint16(0x79B1)
            yield 2 * np.flatnonzero(mixed < 2**16 // _SAMPLED) + parity


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash rows (S, W) of words to (S,)."""
    state = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        state = (state ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(32)
    return state * np.uint64(0xD6E8FEB86659FD93)


def _distinct(*values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """All values once, sorted; faster than `np.unique`, which hashes before it sorts."""
    together = np.sort(np.concatenate(values))
    is_first = np.ones(len(together), dtype=bool)
    is_first[1:] = together[1:] != together[:-1]
    return together[is_first]


def _is_in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values (V,) are among `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == values
    return found
