"""The first pass of the external shuffle: documents go to buckets on disk, by their random place.

A document's place in its split is a random number (`SplitKeys`), and bucket k of K has the
documents with places in [k / K, (k + 1) / K). So the buckets, each sorted by place, give the whole
split sorted by place. The order does not depend on K, which is chosen such that a bucket fits into
little memory.

Documents are buffered in memory (`appended`), so a small corpus is never written here. An
interrupted pass is resumed (`checkpoint`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.background import prefetch
from raydt.corpora.preparing.apart import set_apart
from raydt.corpora.preparing.appended import AppendedFiles
from raydt.corpora.preparing.checkpoint import Progress, take_up, write_checkpoint
from raydt.corpora.sources.documents import BLANK, Block, from_parts, not_blank, parts
from raydt.corpora.splits import SPLITS, FewDocuments, Split, SplitKeys, SplitRule

GAPS = "bytes between train and excerpts of val or test"
# Minimum bytes and seconds between checkpoints: for a slow source a checkpoint saves minutes, for a
# fast one it would cost more than it saves.
_CHECKPOINT_BYTES = 2**28
_CHECKPOINT_SECONDS = 10.0
_HELD_BYTES = 2**25  # buffered in memory before they are appended to the files
_RECORD = np.dtype([("place", np.float64), ("num_bytes", np.int64)])
# val and test have a tenth of the documents together.
_BUCKETS_OF_HELD_OUT = 16


class Buckets:
    """The buckets of a language in `folder`, resuming an interrupted pass.

    A context manager, which keeps the files open. Raises `OSError` if writing fails.
    """

    def __init__(
        self,
        folder: Path,
        num_buckets: int,
        rule: SplitRule | None = None,
        few: FewDocuments | None = None,
        named: Callable[[int], Iterator[NDArray[np.float64]] | None] = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.progress = take_up(folder) or Progress(num_buckets)
        self._counts = Counter(self.progress.counts)
        first = self.progress.num_documents
        self._keys = SplitKeys(first, rule, few, named(first))
        self._few = few
        self._files = AppendedFiles(folder, self.progress.sizes)
        self._unsaved_bytes = 0
        self._saved_seconds = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def fill(
        self,
        blocks: Iterable[Block],
        enough_bytes: Mapping[Split, int] | None = None,
        on_bytes: Callable[[int], None] | None = None,
        lost: NDArray[np.int64] | None = None,
    ) -> None:
        """Take documents until the source ends, or each split has enough bytes.

        Documents whose index is in `lost` (L,), sorted, are left out and not counted.
        """
        for block in prefetch(iter(blocks)):
            is_enough = self._take(block, enough_bytes, lost)
            self.progress.position = block.position
            self.progress.num_bytes_read = block.num_bytes_read
            if on_bytes is not None:
                on_bytes(block.num_bytes_read)
            if is_enough:
                break
            if self._is_checkpoint_due():
                self.save()
            elif self._files.num_held_bytes >= _HELD_BYTES:
                self._files.flush()
        else:
            self.progress.has_ended = True
        # Not synced: waiting for the disk here costs more than reading the last part again after a
        # kill in the second pass. Buffers of files on disk are written, because the second pass
        # needs the memory.
        if self._files.is_on_disk:
            self._files.flush()
        self.progress.is_done = True
        self.progress.counts = dict(+self._counts)

    def _is_checkpoint_due(self) -> bool:
        seconds = time.monotonic() - self._saved_seconds
        return self._unsaved_bytes >= _CHECKPOINT_BYTES and seconds >= _CHECKPOINT_SECONDS

    def save(self) -> None:
        """Write a checkpoint that survives a kill."""
        self._files.sync()
        self.progress.counts = dict(self._counts)
        write_checkpoint(self.progress, self._folder)
        self._unsaved_bytes = 0
        self._saved_seconds = time.monotonic()

    def read(
        self, split: Split, bucket: int
    ) -> tuple[pa.LargeBinaryArray, NDArray[np.int64], NDArray[np.float64]]:
        """The documents (D,) of a bucket as they arrived, the order (D,) of their places, and the
        places (D,) as they arrived."""
        name = _name(split, bucket)
        data = self._files.read(name)
        records = self._files.read(f"{name}.places").view(_RECORD)
        offsets = np.concatenate([[0], np.cumsum(records["num_bytes"])])
        places = np.ascontiguousarray(records["place"])
        return from_parts(data, offsets), places.argsort(kind="stable"), places

    def count(self, split: Split) -> int:
        """Number of buckets of a split."""
        num_buckets = self.progress.num_buckets
        return num_buckets if split == "train" else -(-num_buckets // _BUCKETS_OF_HELD_OUT)

    def _take(
        self,
        block: Block,
        enough_bytes: Mapping[Split, int] | None,
        lost: NDArray[np.int64] | None,
    ) -> bool:
        documents = block.documents
        splits, places = self._keys.draw(len(documents))
        keep = not_blank(documents)
        lengths = np.diff(parts(documents)[1])
        num_taken, is_enough = len(documents), False
        if enough_bytes is not None:
            num_taken = self._enough(splits, np.where(keep, lengths, 0), enough_bytes)
            is_enough = num_taken <= len(documents)
            keep[num_taken:] = False
            num_taken = min(num_taken, len(documents))
        self._counts.update(block.counts)
        num_blank = num_taken - int(keep.sum())
        if lost is not None:
            first = self.progress.num_documents
            begin, end = np.searchsorted(lost, (first, first + len(documents)))
            here = lost[begin:end] - first
            num_blank -= int(np.count_nonzero(~keep[here]))
            keep[here] = False
        self._counts[BLANK] += num_blank
        kept = np.flatnonzero(keep)
        self.progress.num_text_bytes += int((lengths[kept] - 1).sum())
        if self._few is not None and self._few.cuts:
            first = self.progress.num_documents
            pieces = set_apart(documents, kept, splits, places, first, self._few)
            documents, splits, places = pieces.documents, pieces.splits, pieces.places
            self._counts[GAPS] += pieces.num_gap_bytes
            lengths = np.diff(parts(documents)[1])
            kept = np.arange(len(documents))
        self.progress.num_documents += num_taken
        self._write(documents, kept, splits[kept], places[kept], lengths[kept])
        return is_enough

    def _enough(
        self,
        splits: NDArray[np.int8],
        lengths: NDArray[np.int64],
        enough_bytes: Mapping[Split, int],
    ) -> int:
        """How many of these documents fill every split; more than there are if they do not suffice.

        Counted in documents, not blocks, so that the result does not depend on blocks.
        """
        needed = 0
        for number, split in enumerate(SPLITS):
            missing = enough_bytes[split] - self.progress.split_bytes[split]
            if missing > 0:
                filled = np.cumsum(np.where(splits == number, lengths, 0))
                needed = max(needed, int(np.searchsorted(filled, missing)) + 1)
        return needed

    def _write(
        self,
        documents: pa.LargeBinaryArray,
        kept: NDArray[np.int64],
        splits: NDArray[np.int8],
        places: NDArray[np.float64],
        lengths: NDArray[np.int64],
    ) -> None:
        if not len(kept):
            return
        num_buckets = np.array([self.count(split) for split in SPLITS])
        # A wider type than that of split numbers, which would overflow.
        first_of_split = splits.astype(np.int64) * self.progress.num_buckets
        owner = first_of_split + (places * num_buckets[splits]).astype(np.int64)
        order = owner.argsort(kind="stable")
        data, offsets = parts(documents.take(pa.array(kept[order])))
        records = np.empty(len(kept), dtype=_RECORD)
        records["place"], records["num_bytes"] = places[order], lengths[order]
        owners, begins = np.unique(owner[order], return_index=True)
        ends = [*begins[1:].tolist(), len(kept)]
        for bucket, begin, end in zip(owners.tolist(), begins.tolist(), ends, strict=True):
            split = SPLITS[bucket // self.progress.num_buckets]
            name = _name(split, bucket % self.progress.num_buckets)
            part = data[offsets[begin] : offsets[end]]
            self._files.append(name, part)
            self._files.append(f"{name}.places", records[begin:end].view(np.uint8))
            self.progress.split_bytes[split] += len(part)
        self._unsaved_bytes += len(data) + records.nbytes


def _name(split: str, bucket: int) -> str:
    return f"{split}-{bucket:04}"
