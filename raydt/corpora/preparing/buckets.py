"""The first pass of the external shuffle: documents into buckets on disk, by their random place.

A document's place in its split is a random number (`SplitKeys`), and bucket k of K has the
documents with places in [k / K, (k + 1) / K). Each bucket sorted by place, one after the other,
is therefore the whole split sorted by place: the order does not depend on K, which is chosen so
that a bucket fits into little memory.

Documents are held in memory until there are enough of them to be written; a corpus that is smaller
never goes to disk here. Files are only ever appended to. A checkpoint says how long each was at
some document, and where the source goes on from there: after a kill they are cut to these lengths,
and nothing is missing or there twice.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.ahead import ahead
from raydt.corpora.preparing.excerpts import cut
from raydt.corpora.preparing.few import GAP_BYTES
from raydt.corpora.sources.documents import BLANK, Block, Position, from_parts, not_blank, parts
from raydt.corpora.splits import SPLITS, Few, Split, SplitKeys, SplitRule

GAPS = "bytes between train and excerpts of val or test"
_CHECKPOINT = "checkpoint.json"
# Between checkpoints there are so many bytes at least, and so many seconds: of a slow source a
# checkpoint saves minutes, and of a fast one it would cost more than it could save.
_CHECKPOINT_BYTES = 2**28
_CHECKPOINT_SECONDS = 10.0
_HELD_BYTES = 2**25  # of documents in memory before they are appended to the files
_RECORD = np.dtype([("place", np.float64), ("num_bytes", np.int64)])
# val and test have a tenth of the documents together.
_BUCKETS_OF_HELD_OUT = 16


@dataclass
class Progress:
    """How far the first pass is; as JSON the checkpoint."""

    num_buckets: int
    num_documents: int = 0  # indices given out, blank documents counted
    num_text_bytes: int = 0  # of documents that are not blank, without separators, gaps counted
    split_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # of the files
    position: Position | None = None
    num_bytes_read: int = 0
    is_done: bool = False
    has_ended: bool = False  # nothing follows in the source


class Buckets:
    """The buckets of a language in `folder`, those of an interrupted pass taken up again.

    A context: the files are open within it. Raises `OSError` if the disk does not take them.
    """

    def __init__(
        self,
        folder: Path,
        num_buckets: int,
        rule: SplitRule | None = None,
        few: Few | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.progress = self._take_up() or Progress(num_buckets)
        self._counts = Counter(self.progress.counts)
        self._keys = SplitKeys(self.progress.num_documents, rule, few)
        self._cuts = few.cuts if few is not None else {}
        self._rounds = few.rounds if few is not None else 1
        self._files: dict[str, int] = {}
        self._held: dict[str, list[NDArray[np.uint8]]] = {}  # what is to be appended to each file
        self._held_bytes = 0
        self._unsaved_bytes = 0
        self._saved_seconds = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files = {}
        self._held = {}

    def fill(
        self,
        blocks: Iterable[Block],
        enough_bytes: Mapping[Split, int] | None = None,
        on_bytes: Callable[[int], None] | None = None,
        lost: NDArray[np.int64] | None = None,
    ) -> None:
        """Take documents until the source ends, or until each split has enough bytes.

        Those whose index is in `lost` (L,), sorted, are left out and counted nowhere.
        """
        for block in ahead(iter(blocks)):
            is_enough = self._take(block, enough_bytes, lost)
            self.progress.position = block.position
            self.progress.num_bytes_read = block.num_bytes_read
            if on_bytes is not None:
                on_bytes(block.num_bytes_read)
            if is_enough:
                break
            if self._is_checkpoint_due():
                self.save()
            elif self._held_bytes >= _HELD_BYTES:
                self._flush()
        else:
            self.progress.has_ended = True
        # Not saved: to wait for the disk here costs more than to read the last part again, which
        # is what a kill during the second pass leads to. What is partly on disk goes there whole,
        # as the second pass needs the memory.
        if self._files or self.progress.sizes:
            self._flush()
        self.progress.is_done = True
        self.progress.counts = dict(+self._counts)

    def _is_checkpoint_due(self) -> bool:
        seconds = time.monotonic() - self._saved_seconds
        return self._unsaved_bytes >= _CHECKPOINT_BYTES and seconds >= _CHECKPOINT_SECONDS

    def save(self) -> None:
        """Make what is there outlast a kill."""
        self._flush()
        for descriptor in self._files.values():
            os.fsync(descriptor)
        self.progress.counts = dict(self._counts)
        temporary = self._folder / f"{_CHECKPOINT}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(vars(self.progress), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / _CHECKPOINT)
        self._unsaved_bytes = 0
        self._saved_seconds = time.monotonic()

    def read(
        self, split: Split, bucket: int
    ) -> tuple[pa.LargeBinaryArray, NDArray[np.int64], NDArray[np.float64]]:
        """The documents (D,) of a bucket as they came, the order (D,) of their places, and the
        places (D,) as the documents came."""
        name = _name(split, bucket)
        data = self._bytes_of(name)
        records = self._bytes_of(f"{name}.places").view(_RECORD)
        offsets = np.concatenate([[0], np.cumsum(records["num_bytes"])])
        places = np.ascontiguousarray(records["place"])
        return from_parts(data, offsets), places.argsort(kind="stable"), places

    def _bytes_of(self, name: str) -> NDArray[np.uint8]:
        held = self._held.get(name, [])
        if name in self.progress.sizes:
            held = [np.fromfile(self._folder / name, dtype=np.uint8), *held]
        return held[0] if len(held) == 1 else np.concatenate([np.zeros(0, np.uint8), *held])

    def count(self, split: Split) -> int:
        """How many buckets a split has."""
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
        if self._cuts:
            documents, splits, places = self._cut(documents, kept, splits, places)
            lengths = np.diff(parts(documents)[1])
            kept = np.arange(len(documents))
        self.progress.num_documents += num_taken
        self._write(documents, kept, splits[kept], places[kept], lengths[kept])
        return is_enough

    def _cut(
        self,
        documents: pa.LargeBinaryArray,
        kept: NDArray[np.int64],
        splits: NDArray[np.int8],
        places: NDArray[np.float64],
    ) -> tuple[pa.LargeBinaryArray, NDArray[np.int8], NDArray[np.float64]]:
        """The kept documents with excerpts of long ones apart: pieces (P,), in which split each is
        (P,), and its place there (P,).

        What train has of a document has the document's place, and so stays together. Of R rounds
        of excerpts the k-th of a document is at (k + its place) / R: first one of every document.
        """
        first = self.progress.num_documents
        _, offsets = parts(documents)
        rows: list[tuple[int, int, int, int, int]] = []  # document, split, begin, end, round
        for index in kept.tolist():
            end = int(offsets[index + 1] - offsets[index]) - 1
            at = 0
            cuts = self._cuts.get(first + index, ())
            if cuts and cuts[-1].end + GAP_BYTES > end:
                cuts = ()  # not the document that was counted: a source that cannot be cut alike
            for each in cuts:
                rows.append((index, int(splits[index]), at, each.begin - GAP_BYTES, -1))
                number = SPLITS.index(each.split)
                before = sum(row[0] == index and row[1] == number for row in rows)
                rows.append((index, number, each.begin, each.end, before))
                at = each.end + GAP_BYTES
            rows.append((index, int(splits[index]), at, end, -1))
        # What is shorter than a gap is part of it.
        whole = [
            row for row in rows if row[3] - row[2] >= GAP_BYTES or first + row[0] not in self._cuts
        ]
        owners, split, begins, ends, rounds = np.array(whole, dtype=np.int64).reshape(-1, 5).T
        found = cut(documents, owners, begins, ends)
        keep = not_blank(found)
        found = found.filter(pa.array(keep))
        num_kept = len(parts(found)[0]) - len(found)
        self._counts[GAPS] += int((np.diff(offsets)[kept] - 1).sum()) - num_kept
        piece_places = places[owners[keep]]
        is_excerpt = rounds[keep] >= 0
        piece_places[is_excerpt] += rounds[keep][is_excerpt]
        piece_places[is_excerpt] /= self._rounds
        return found, split[keep].astype(np.int8), piece_places

    def _enough(
        self,
        splits: NDArray[np.int8],
        lengths: NDArray[np.int64],
        enough_bytes: Mapping[Split, int],
    ) -> int:
        """How many of these documents fill every split; more than there are if all do not.

        Counted by document and not by block, so that what is kept does not depend on blocks.
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
        # Wider than a split's number is, which times the number of buckets would go round.
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
            self._held.setdefault(name, []).append(part)
            places_of = self._held.setdefault(f"{name}.places", [])
            places_of.append(records[begin:end].view(np.uint8))
            self.progress.split_bytes[split] += len(part)
        self._held_bytes += len(data) + records.nbytes
        self._unsaved_bytes += len(data) + records.nbytes

    def _flush(self) -> None:
        """Append what is held to the files."""
        for name, held in self._held.items():
            if name not in self._files:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._files[name] = os.open(self._folder / name, flags, 0o644)
            for data in held:
                left = memoryview(np.ascontiguousarray(data))  # type: ignore[arg-type]
                while len(left):
                    num_written = os.write(self._files[name], left)
                    self.progress.sizes[name] = self.progress.sizes.get(name, 0) + num_written
                    left = left[num_written:]
        self._held, self._held_bytes = {}, 0

    def _take_up(self) -> Progress | None:
        """What an interrupted pass left, cut to its checkpoint; otherwise an empty folder."""
        sizes: Mapping[str, int] = {}
        progress: Progress | None = None
        try:
            fields: dict[str, Any] = json.loads((self._folder / _CHECKPOINT).read_text("utf-8"))
            progress = Progress(**fields)
            sizes = progress.sizes
            # Shorter than the checkpoint says: the power was cut, and the disk lost what it had.
            if any((self._folder / name).stat().st_size < sizes[name] for name in sizes):
                progress = None
        except (FileNotFoundError, ValueError, TypeError):
            progress = None
        for path in self._folder.iterdir():
            if progress is not None and path.name in sizes:
                os.truncate(path, sizes[path.name])
            elif progress is None or path.name != _CHECKPOINT:
                path.unlink()
        return progress


def _name(split: str, bucket: int) -> str:
    return f"{split}-{bucket:04}"
