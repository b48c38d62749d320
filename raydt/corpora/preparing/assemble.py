"""The second pass of the external shuffle: from buckets to the three stored streams."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.background import SerialWorker, map_in_threads, prefetch
from raydt.corpora.prepared.manifest import SplitRecord
from raydt.corpora.preparing.buckets import Buckets
from raydt.corpora.preparing.duplicates import HeldOut
from raydt.corpora.preparing.excerpts import num_pieces, pieces
from raydt.corpora.sources.documents import parts
from raydt.corpora.splits import SPLITS, Split

# A held-out document is in no split that is used earlier: not in train if it is in val or test, and
# not in val, which chooses checkpoints, if it is in test, which is reported.
_ORDER: tuple[Split, ...] = ("test", "val", "train")
_COMPARED_WITH = {"test": "", "val": "test", "train": "val or test"}
_SLICE_BYTES = 2**22
_SYNC_BYTES = 2**25
_IN_ROUNDS_BYTES = 2**25
_DIGITS = 10  # of a document's place that survive the arithmetic of rounds


@dataclass(frozen=True)
class Assembled:
    """The written splits."""

    splits: dict[Split, SplitRecord]
    dropped: dict[str, int]


@dataclass(frozen=True)
class _Part:
    """Some megabytes of a split in order: documents (D,) and their places (D,)."""

    documents: pa.LargeBinaryArray
    places: NDArray[np.float64]

    def without(self, out: NDArray[np.bool_]) -> _Part:
        """The part without the documents marked in `out` (D,)."""
        if not out.any():
            return self
        return _Part(self.documents.filter(pa.array(~out)), self.places[~out])


def assemble(
    buckets: Buckets,
    path_of: Callable[[Split], Path],
    on_bytes: Callable[[int], None] | None,
    excerpt_bytes: int = 0,
    rounds: int | None = None,
    is_few: bool = False,
) -> Assembled:
    """Write each split, shuffled and without duplicates of later-used splits, to `path_of(split)`.

    `val` and `test` start with an excerpt of each document, then the rest (`excerpts`). `rounds`,
    if documents are in pieces, is the maximum number of excerpts per document in a split; copies of
    a document may have different excerpts. `is_few`: there are so few documents that more of each
    is compared. `on_bytes` receives the bytes written, over all splits. Raises `OSError` if the
    disk is full.
    """
    held_out = HeldOut(is_few)
    records: dict[Split, SplitRecord] = {}
    dropped: Counter[str] = Counter()
    num_before = 0
    for split in _ORDER:
        with ShardWriter(path_of(split)) as shard:
            # Which documents of each part are dropped.
            out: list[NDArray[np.bool_]] = []
            most_pieces = 1
            documents_in_pieces: set[float] = set()
            slices = map_in_threads(prefetch(_sorted(buckets, split)), partial(_look, held_out))
            for part, equal, near in slices:
                if split != "test":
                    against = _COMPARED_WITH[split]
                    dropped[f"{split} documents equal to one of {against}"] += int(equal.sum())
                    dropped[f"{split} documents near one of {against}"] += int(near.sum())
                out.append(equal | near)
                documents = part.documents
                num_documents = len(documents)
                if rounds is not None:  # less than a few hundred
                    places = part.places if split == "train" else part.places * rounds % 1
                    num_before_part = len(documents_in_pieces)
                    documents_in_pieces.update(places.round(_DIGITS).tolist())
                    num_documents = len(documents_in_pieces) - num_before_part
                if split != "train":
                    held_out.add(documents)
                    count = num_pieces(documents, excerpt_bytes)
                    most_pieces = max(most_pieces, int(count.max(initial=1)))
                    documents = pieces(documents, part.places, excerpt_bytes, 0, 1)
                shard.write(documents, num_documents)
                if on_bytes is not None:
                    on_bytes(num_before + shard.num_bytes)
            begin = 1
            while begin < most_pieces:
                # Each round reads the split again. Once the beginning with many documents is long
                # enough for any use, the rest follows in one round.
                end = 2 * begin if shard.num_bytes < _IN_ROUNDS_BYTES else None
                for part, gone in zip(_sorted(buckets, split), out, strict=True):
                    stays = part.without(gone)
                    rest = pieces(stays.documents, stays.places, excerpt_bytes, begin, end)
                    shard.write(rest, 0)
                    if on_bytes is not None:
                        on_bytes(num_before + shard.num_bytes)
                begin = most_pieces if end is None else end
        held_out.close()
        records[split] = shard.record()
        num_before += shard.num_bytes
    return Assembled({split: records[split] for split in SPLITS}, dict(dropped))


def _sorted(buckets: Buckets, split: Split) -> Iterator[_Part]:
    """A split in order, some megabytes at a time."""
    for bucket in range(buckets.count(split)):
        documents, order, places = buckets.read(split, bucket)
        lengths = np.diff(parts(documents)[1])[order]
        slices = np.cumsum(lengths) // _SLICE_BYTES
        for some in np.split(order, np.flatnonzero(np.diff(slices)) + 1):
            if len(some):
                yield _Part(documents.take(pa.array(some)), places[some])


def _look(held_out: HeldOut, part: _Part) -> tuple[_Part, NDArray[np.bool_], NDArray[np.bool_]]:
    """The kept documents of a part, and which (D,) are equal or near to a held-out one."""
    equal, near = held_out.find(part.documents)
    return part.without(equal | near), equal, near


class ShardWriter:
    """Writes a split and counts its contents; writing and hashing run in background threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._writing = SerialWorker()
        self._syncing = SerialWorker()
        self._hashing = SerialWorker()
        self._num_unsynced_bytes = 0
        self._num_documents = 0
        self._num_excerpts = 0
        self._num_characters = 0
        self.num_bytes = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._writing.finish()
                self._syncing.finish()
                self._hashing.finish()
                os.fsync(self._file.fileno())
        finally:
            self._writing.close()
            self._syncing.close()
            self._hashing.close()
            self._file.close()

    def write(self, documents: pa.LargeBinaryArray, num_documents: int) -> None:
        """Append documents or excerpts, of `num_documents` documents that are new to the split."""
        data, _ = parts(documents)
        self._num_documents += num_documents
        self._num_excerpts += len(documents)
        self.num_bytes += len(data)
        self._hashing.do(partial(self._hash, data))
        self._writing.do(partial(self._write, data))

    def _hash(self, data: NDArray[np.uint8]) -> None:
        self._digest.update(data)  # type: ignore[arg-type]

    def _write(self, data: NDArray[np.uint8]) -> None:
        left = memoryview(data)  # type: ignore[arg-type]
        while len(left):
            left = left[self._file.write(left) :]
        self._num_unsynced_bytes += len(data)
        if self._num_unsynced_bytes >= _SYNC_BYTES:
            # Sync little by little, so that there is no long wait at the end, and in a thread, so
            # that the disk works while the next part goes to the page cache.
            self._syncing.do(partial(os.fsync, self._file.fileno()))
            self._num_unsynced_bytes = 0
        # In UTF-8, every byte except those of the form 10xxxxxx (-128 to -65) starts a character.
        self._num_characters += int(np.count_nonzero(data.view(np.int8) > -65))

    def record(self) -> SplitRecord:
        """The manifest's record of the split; call it after the `with` block."""
        num_characters = self._num_characters - self._num_excerpts  # without separators
        num_text_bytes = self.num_bytes - self._num_excerpts
        return SplitRecord(
            num_bytes=self.num_bytes,
            num_characters=num_characters,
            num_documents=self._num_documents,
            num_excerpts=self._num_excerpts,
            bytes_per_character=(num_text_bytes / num_characters if num_characters else None),
            sha256=self._digest.hexdigest(),
        )
