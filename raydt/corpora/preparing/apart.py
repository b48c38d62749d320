"""Cut the held-out excerpts out of the long documents of a small corpus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt.corpora.preparing.excerpts import cut
from raydt.corpora.preparing.few import GAP_BYTES
from raydt.corpora.sources.documents import not_blank, parts
from raydt.corpora.splits import SPLITS, Cut, FewDocuments

_REST = -1  # the round of text outside excerpts


@dataclass(frozen=True)
class Pieces:
    """Pieces (P,) of documents, with the split (P,) and the place there (P,) of each."""

    documents: pa.LargeBinaryArray
    splits: NDArray[np.int8]
    places: NDArray[np.float64]
    num_gap_bytes: int  # in no piece


def set_apart(
    documents: pa.LargeBinaryArray,
    kept: NDArray[np.int64],
    splits: NDArray[np.int8],
    places: NDArray[np.float64],
    first: int,
    few: FewDocuments,
) -> Pieces:
    """The documents `kept` (K,) of D, with their splits (D,) and places (D,); those that `few` cuts
    are in pieces. `first` is the index of the first of the D documents.

    The parts of a document in train have the document's place, and so stay together. Of R rounds of
    excerpts, the k-th of a document is at (k + its place) / R, so that one of every document comes
    first.
    """
    _, offsets = parts(documents)
    rows: list[tuple[int, int, int, int, int]] = []  # document, split, begin, end, round
    for index in kept.tolist():
        split, num_bytes = int(splits[index]), int(offsets[index + 1] - offsets[index]) - 1
        cuts = few.cuts.get(first + index)
        if cuts is None:
            rows.append((index, split, 0, num_bytes, _REST))
            continue
        # Text shorter than a gap is part of it.
        rows += [
            (index, *piece)
            for piece in _pieces_of(split, num_bytes, cuts)
            if piece[2] - piece[1] >= GAP_BYTES
        ]
    owners, numbers, begins, ends, rounds = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    found = cut(documents, owners, begins, ends)
    keep = not_blank(found)
    found = found.filter(pa.array(keep))
    num_kept = len(parts(found)[0]) - len(found)
    piece_places = places[owners[keep]]
    is_excerpt = rounds[keep] != _REST
    piece_places[is_excerpt] += rounds[keep][is_excerpt]
    piece_places[is_excerpt] /= few.rounds
    num_gap_bytes = int((np.diff(offsets)[kept] - 1).sum()) - num_kept
    return Pieces(found, numbers[keep].astype(np.int8), piece_places, num_gap_bytes)


def _pieces_of(
    split: int, num_bytes: int, cuts: tuple[Cut, ...]
) -> list[tuple[int, int, int, int]]:
    """Split, begin, end and round of the pieces of a document with `num_bytes` of text."""
    if cuts and cuts[-1].end + GAP_BYTES > num_bytes:
        cuts = ()  # the document has changed since it was counted
    found: list[tuple[int, int, int, int]] = []
    at = 0
    for each in cuts:
        found.append((split, at, each.begin - GAP_BYTES, _REST))
        number = SPLITS.index(each.split)
        found.append((number, each.begin, each.end, sum(one[0] == number for one in found)))
        at = each.end + GAP_BYTES
    found.append((split, at, num_bytes, _REST))
    return found
