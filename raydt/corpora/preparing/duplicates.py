"""Documents that stand in more than one split.

Exact: equal 64-bit hashes (XXH3) of the bytes; two different documents among a thousand million
pairs are taken for equal with a probability of 1e-10.

Near: a document is a near duplicate if at least half of its sampled shingles, and at least two,
are among those of the split it is compared with. A shingle is 48 consecutive bytes of one
document; sampled are those whose first four bytes hash to 0 modulo 64, so that the same text is
sampled at the same places wherever it stands (Manber, "Finding similar files in a large file
system", 1994). A document of less than about 200 bytes is compared exactly only.

Of a corpus whose documents are cut into excerpts (`few`) a document is near as well if it has that
much of one excerpt within it: a copy of a document has the excerpt of the other, and much else.
Of an excerpt too short for the sample three parts are looked for, of which two must be there.

The memory this takes is that of the held-out splits: 8 bytes a document and 1/8 of their bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from raydt.corpora.preparing.shingles import (
    SAMPLED,
    SHINGLE_BYTES,
    WORD_BYTES,
    inside_documents,
    mix,
    num_sampled,
    sampled_begins,
    shingle_glances,
    shingle_hashes,
)
from raydt.corpora.sources.documents import parts

_MIN_SHARED = 2
_PROBE_BYTES = 100
_SLOT_BITS = 27  # 16 MB: of 6 GB one slot in 14 is taken

DUPLICATES_RULE = (
    "of documents in two splits test keeps its own, then val; equal: XXH3-64 of the bytes; near: "
    f"at least half, and {_MIN_SHARED} or more, of the shingles of {SHINGLE_BYTES} bytes that "
    f"begin with four bytes hashing to 0 modulo {SAMPLED} are in the other split"
)


class HeldOut:
    """What the splits so far contain, so that later ones can be kept from having it too."""

    def __init__(self, by_document: bool = False) -> None:
        """`by_document`: remember whose each shingle is, and find also what has one document
        within it. It takes three times the memory, and is for small corpora."""
        self._by_document = by_document
        self._num_documents = 0
        self._owners: list[NDArray[np.int64]] = []
        self._each: list[NDArray[np.uint64]] = []
        self._probes: list[tuple[bytes, ...]] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._shingles: list[NDArray[np.uint64]] = []
        self._known_hashes = np.zeros(0, dtype=np.uint64)
        self._known_shingles = np.zeros(0, dtype=np.uint64)
        # What looks like something known, by a glance at it: of shingles and of whole documents.
        self._like_shingles = _Likeness()
        self._like_documents = _Likeness()

    def add(self, documents: pa.LargeBinaryArray) -> None:
        """Remember documents; they count from `close` on."""
        if not len(documents):
            return
        self._hashes.append(_hashes(documents, np.arange(len(documents))))
        self._like_documents.add(_glances(documents))
        data, offsets = parts(documents)
        begins = np.concatenate(sampled_begins(data))
        owners, begins = inside_documents(begins, offsets)
        self._shingles.append(shingle_hashes(data, begins))
        if self._by_document:
            self._owners.append(owners + self._num_documents)
            self._each.append(self._shingles[-1])
            self._num_documents += len(documents)
            few = np.bincount(owners, minlength=len(documents)) < 2 * _MIN_SHARED
            few &= np.diff(offsets) >= 2 * _PROBE_BYTES  # what is shorter is compared exactly
            self._probes += [_probes(text) for text in documents.filter(pa.array(few)).to_pylist()]
        self._like_shingles.add(shingle_glances(data, begins))

    def close(self) -> None:
        """All documents of a split are added."""
        self._known_hashes = _distinct(self._known_hashes, *self._hashes)
        self._known_shingles = _distinct(self._known_shingles, *self._shingles)
        self._hashes, self._shingles = [], []
        self._like_shingles.close()
        self._like_documents.close()

    def find(self, documents: pa.LargeBinaryArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which documents (D,) equal one that is known, and which others are near to some."""
        if not len(documents) or not len(self._known_hashes):
            none = np.zeros(len(documents), dtype=bool)
            return none, none
        equal = np.zeros(len(documents), dtype=bool)
        alike = np.flatnonzero(self._like_documents.has(_glances(documents)))
        equal[alike] = _is_in(_hashes(documents, alike), self._known_hashes)
        data, offsets = parts(documents)
        sampled = sampled_begins(data)
        begins = np.concatenate(sampled)
        # Nearly all shingles are unknown, and a glance shows it; and nearly no document has two
        # that are known, so that only of a few it matters how many it has.
        maybe = begins[self._like_shingles.has(shingle_glances(data, begins))]
        owners, maybe = inside_documents(maybe, offsets)
        is_known = _is_in(shingle_hashes(data, maybe), self._known_shingles)
        num_shared = np.bincount(owners[is_known], minlength=len(documents))
        near = (num_shared >= _MIN_SHARED) & ~equal
        some = np.flatnonzero(near)
        mostly = 2 * num_shared[some] >= num_sampled(sampled, offsets, some)
        if self._by_document:
            hashes = shingle_hashes(data, maybe)
            has_one = [self._has_one_of(hashes[owners == index]) for index in some.tolist()]
            mostly |= np.array(has_one, dtype=bool)
        near[some] = mostly
        if self._by_document:
            near |= self._has_probes(documents) & ~equal
        return equal, near

    def _has_probes(self, documents: pa.LargeBinaryArray) -> NDArray[np.bool_]:
        """Which documents (D,) have most of a held-out one that has hardly a sampled shingle."""
        data, offsets = parts(documents)
        text = data.tobytes()
        found = np.zeros(len(documents), dtype=bool)
        for probes in self._probes:
            num_found = np.zeros(len(documents), dtype=np.int64)
            for probe in probes:
                at = text.find(probe)
                owners = set()
                while at >= 0:
                    owners.add(int(np.searchsorted(offsets, at, side="right")) - 1)
                    at = text.find(probe, at + len(probe))
                num_found[list(owners)] += 1
            found |= 2 * num_found > len(probes)
        return found

    def _has_one_of(self, shingles: NDArray[np.uint64]) -> bool:
        """Whether a document with these shingles has most of those of one that is held out."""
        owners = np.concatenate(self._owners)
        shared = _is_in(np.concatenate(self._each), np.unique(shingles))
        num_shared = np.bincount(owners[shared], minlength=self._num_documents)
        num_all = np.bincount(owners, minlength=self._num_documents)
        return bool(((num_shared >= _MIN_SHARED) & (2 * num_shared >= num_all)).any())


def _probes(document: bytes) -> tuple[bytes, ...]:
    """Three parts of a document: its beginning, its middle and its end."""
    text = document.rstrip(b"\0")
    last = len(text) - _PROBE_BYTES
    return tuple(text[at : at + _PROBE_BYTES] for at in (0, last // 2, last))


class _Likeness:
    """Whether a hash may be one of many, known by a bit for each slot it could be in."""

    def __init__(self) -> None:
        self._bits = np.zeros(2 ** (_SLOT_BITS - 3), dtype=np.uint8)
        self._waiting: list[NDArray[np.uint32]] = []

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Remember hashes; they count from `close` on."""
        self._waiting.append(_slots(hashes).astype(np.uint32))

    def close(self) -> None:
        """All hashes of a split are added."""
        for slots in self._waiting:
            np.bitwise_or.at(self._bits, slots >> 3, np.uint8(1) << (slots & 7).astype(np.uint8))
        self._waiting = []

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which hashes (S,) may be among those known; none that is, is missed."""
        slots = _slots(hashes)
        bits = self._bits[slots >> 3] >> (slots & 7).astype(np.uint8)
        may_be: NDArray[np.bool_] = (bits & 1).view(np.bool_)
        return may_be


def _slots(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - _SLOT_BITS)).view(np.int64)  # NumPy's own kind of index


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
    if len(data) < WORD_BYTES:
        data = np.concatenate([data, np.zeros(WORD_BYTES - len(data), dtype=np.uint8)])
    words = sliding_window_view(data, WORD_BYTES)
    lengths = np.diff(offsets)
    seen = np.empty((len(documents), 3), dtype=np.uint64)
    # A document of less than a word: the word is moved until its first byte is the document's,
    # and what stands behind the document is cleared.
    starts = np.minimum(offsets[:-1], len(words) - 1)
    first = words[starts].view("<u8").ravel()
    first >>= (np.minimum(offsets[:-1] - starts, 7) * 8).astype(np.uint64)
    num_behind = np.clip(WORD_BYTES - lengths, 0, 7).astype(np.uint64)
    seen[:, 0] = first & (np.uint64(2**64 - 1) >> (num_behind * np.uint64(8)))
    seen[:, 1] = words[np.maximum(offsets[1:] - WORD_BYTES, 0)].view("<u8").ravel()
    seen[:, 1] *= lengths >= WORD_BYTES
    seen[:, 2] = lengths
    return mix(seen)


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
