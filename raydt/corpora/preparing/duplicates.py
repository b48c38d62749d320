"""Documents that are in more than one split.

Exact: equal 64-bit hashes (XXH3) of the bytes; among a billion pairs, two different documents are
considered equal with a probability of 1e-10.

Near: a document is a near duplicate if at least a quarter of its sampled shingles, and at least
two, are among those of the split it is compared with. A shingle is 48 consecutive bytes of one
document. Those whose first four bytes hash to 0 modulo 64 are sampled, so that the same text is
sampled at the same places wherever it is (Manber, "Finding similar files in a large file system",
1994); for few documents, modulo 8. A shingle survives changes of 2 % of the characters with a
probability of .38: a threshold of a quarter finds such copies, and half did not.

A document is also near if it has at least half of the shingles of one held-out document, and at
least two: a longer document that contains that one has much other text.

A shingle in three or more held-out documents is common: a header, a licence, a formula. Common
shingles count only in a document that has few others (80 % of its own are common).

For an excerpt (`few`) that is too short for the sample, three parts are searched, of which two must
be found.

Memory is that of the held-out splits: 8 bytes per document and 1/5 of their bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from raydt.corpora.preparing.shingles import (
    SAMPLED,
    SAMPLED_OF_FEW,
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
_NEAR = 4  # one shared shingle in this many makes a near duplicate
_COMMON = 3  # held-out documents that make a shingle common
_MOSTLY_COMMON = 0.8
_PROBE_BYTES = 100
_SLOT_BITS = 27  # 16 MB: with 6 GB of text, one slot in 14 is used

DUPLICATES_RULE = (
    "of documents in two splits test keeps its own, then val; equal: XXH3-64 of the bytes; near: "
    f"one in {_NEAR} or more, and {_MIN_SHARED} or more, of the shingles of {SHINGLE_BYTES} bytes "
    f"that begin with four bytes hashing to 0 modulo {SAMPLED} (of few documents "
    f"{SAMPLED_OF_FEW}) are in the other split, or half of those of one document there; shingles "
    f"of {_COMMON} documents there count only in one that is {_MOSTLY_COMMON:.0%} of such"
)


class HeldOut:
    """The contents of the splits so far, to keep them out of later ones."""

    def __init__(self, is_few: bool = False) -> None:
        """`is_few`: for few documents, sample more shingles and search the shortest excerpts
        directly."""
        self._is_few = is_few
        self._one_in = SAMPLED_OF_FEW if is_few else SAMPLED
        self._num_documents = 0
        self._probes: list[tuple[bytes, ...]] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._shingles: list[NDArray[np.uint64]] = []
        self._owners: list[NDArray[np.int32]] = []
        self._known_hashes = np.zeros(0, dtype=np.uint64)
        # The distinct shingles of each document, sorted by shingle, and their owners: (S,) and
        # (S,).
        self._known_shingles = np.zeros(0, dtype=np.uint64)
        self._known_owners = np.zeros(0, dtype=np.int32)
        self._is_common = np.zeros(0, dtype=bool)  # (S,)
        self._num_rare = np.zeros(0, dtype=np.int64)  # by owner, shingles that are not common
        # Filters by quick hashes, for shingles and for whole documents.
        self._like_shingles = _Likeness()
        self._like_documents = _Likeness()

    def add(self, documents: pa.LargeBinaryArray) -> None:
        """Add documents; they take effect at `close`."""
        if not len(documents):
            return
        self._hashes.append(_hashes(documents, np.arange(len(documents))))
        self._like_documents.add(_glances(documents))
        data, offsets = parts(documents)
        begins = np.sort(np.concatenate(sampled_begins(data, self._one_in)))
        owners, begins = inside_documents(begins, offsets)
        self._shingles.append(shingle_hashes(data, begins))
        self._owners.append((owners + self._num_documents).astype(np.int32))
        self._num_documents += len(documents)
        if self._is_few:
            few = np.bincount(owners, minlength=len(documents)) < 2 * _MIN_SHARED
            few &= np.diff(offsets) >= 2 * _PROBE_BYTES  # shorter ones are compared exactly
            self._probes += [_probes(text) for text in documents.filter(pa.array(few)).to_pylist()]
        self._like_shingles.add(shingle_glances(data, begins))

    def close(self) -> None:
        """Finish a split: all of its documents were added."""
        self._known_hashes = _distinct(self._known_hashes, *self._hashes)
        shingles = np.concatenate([self._known_shingles, *self._shingles])
        owners = np.concatenate([self._known_owners, *self._owners])
        # Equal shingles are in the order of their documents, as here.
        order = shingles.argsort(kind="stable")
        shingles, owners = shingles[order], owners[order]
        is_first = np.ones(len(shingles), dtype=bool)
        is_first[1:] = (shingles[1:] != shingles[:-1]) | (owners[1:] != owners[:-1])
        self._known_shingles, self._known_owners = shingles[is_first], owners[is_first]
        num = _counts(self._known_shingles)
        self._is_common = num >= _COMMON
        rare = self._known_owners[~self._is_common]
        self._num_rare = np.bincount(rare, minlength=self._num_documents)
        self._hashes, self._shingles, self._owners = [], [], []
        self._like_shingles.close()
        self._like_documents.close()

    def find(self, documents: pa.LargeBinaryArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which documents (D,) are equal to a known one, and which others are near to one."""
        if not len(documents) or not len(self._known_hashes):
            none = np.zeros(len(documents), dtype=bool)
            return none, none
        equal = np.zeros(len(documents), dtype=bool)
        alike = np.flatnonzero(self._like_documents.has(_glances(documents)))
        equal[alike] = _is_in(_hashes(documents, alike), self._known_hashes)
        data, offsets = parts(documents)
        sampled = sampled_begins(data, self._one_in)
        begins = np.concatenate(sampled)
        # Almost all shingles are unknown, which the quick hash shows, and almost no document has
        # two known ones, so details matter only for a few.
        maybe = begins[self._like_shingles.has(shingle_glances(data, begins))]
        owners, maybe = inside_documents(maybe, offsets)
        hashes = shingle_hashes(data, maybe)
        known = _is_in(hashes, self._known_shingles)
        owners, hashes = owners[known], hashes[known]
        num_shared = np.bincount(owners, minlength=len(documents))
        near = (num_shared >= _MIN_SHARED) & ~equal
        some = np.flatnonzero(near)
        num_all = num_sampled(sampled, offsets, some)
        order = owners.argsort(kind="stable")
        firsts = np.searchsorted(owners[order], some)
        for index, first, total in zip(
            some.tolist(), firsts.tolist(), num_all.tolist(), strict=True
        ):
            own = hashes[order[first : first + num_shared[index]]]
            near[index] = self._is_near(own, total)
        if self._is_few:
            near |= self._has_probes(documents) & ~equal
        return equal, near

    def _is_near(self, shared: NDArray[np.uint64], num_all: int) -> bool:
        """Whether a document with these known shingles, of `num_all` in total, is near."""
        begins = np.searchsorted(self._known_shingles, shared, side="left")
        is_common = self._is_common[begins]
        num_common = int(is_common.sum())
        if num_common >= _MOSTLY_COMMON * num_all:
            return True
        num_rare = len(shared) - num_common
        if num_rare >= _MIN_SHARED and _NEAR * num_rare >= num_all - num_common:
            return True
        return num_rare >= _MIN_SHARED and self._has_one_within(np.unique(shared[~is_common]))

    def _has_one_within(self, shingles: NDArray[np.uint64]) -> bool:
        """Whether a document with these shingles has half of those of a held-out document."""
        begins = np.searchsorted(self._known_shingles, shingles, side="left")
        ends = np.searchsorted(self._known_shingles, shingles, side="right")
        places = [np.arange(begin, end) for begin, end in zip(begins, ends, strict=True)]
        of, num = np.unique(self._known_owners[np.concatenate(places)], return_counts=True)
        return bool(((num >= _MIN_SHARED) & (2 * num >= self._num_rare[of])).any())

    def _has_probes(self, documents: pa.LargeBinaryArray) -> NDArray[np.bool_]:
        """Which documents (D,) contain most of a held-out one with hardly any sampled shingles."""
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


def _probes(document: bytes) -> tuple[bytes, ...]:
    """Three parts of a document: its beginning, its middle and its end."""
    text = document.rstrip(b"\0")
    last = len(text) - _PROBE_BYTES
    return tuple(text[at : at + _PROBE_BYTES] for at in (0, last // 2, last))


class _Likeness:
    """A filter with one bit per slot: tells whether a hash may be among the known ones."""

    def __init__(self) -> None:
        self._bits = np.zeros(2 ** (_SLOT_BITS - 3), dtype=np.uint8)
        self._waiting: list[NDArray[np.uint32]] = []

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Add hashes; they take effect at `close`."""
        self._waiting.append(_slots(hashes).astype(np.uint32))

    def close(self) -> None:
        """Finish a split: all of its hashes were added."""
        for slots in self._waiting:
            np.bitwise_or.at(self._bits, slots >> 3, np.uint8(1) << (slots & 7).astype(np.uint8))
        self._waiting = []

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which hashes (S,) may be among the known ones; there are no false negatives."""
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
    """A quick hash per document (D,), of its first and last eight bytes and its length.

    Only documents with a known quick hash are compared in a loop.
    """
    data, offsets = parts(documents)
    if len(data) < WORD_BYTES:
        data = np.concatenate([data, np.zeros(WORD_BYTES - len(data), dtype=np.uint8)])
    words = sliding_window_view(data, WORD_BYTES)
    lengths = np.diff(offsets)
    seen = np.empty((len(documents), 3), dtype=np.uint64)
    # For a document shorter than a word, shift the word so that it starts with the document, and
    # clear what follows.
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
    """The distinct values, sorted; faster than `np.unique`, which hashes before sorting."""
    together = np.sort(np.concatenate(values))
    is_first = np.ones(len(together), dtype=bool)
    is_first[1:] = together[1:] != together[:-1]
    return together[is_first]


def _counts(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The number of occurrences of each of the sorted values (V,), (V,)."""
    begins = np.searchsorted(values, values, side="left")
    counts: NDArray[np.int64] = np.searchsorted(values, values, side="right") - begins
    return counts


def _is_in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values (V,) are among `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == values
    return found
