"""How much a loss varies with the documents that it is measured on, by their number.

    python benchmarks/held_out_documents.py ../shared/corpora/fi.txt ...

A byte trigram model, interpolated with bigrams and unigrams, is counted on half of the documents of
a file with one document per line. From the other half documents are drawn 2,000 times, whole or as
excerpts; the table shows the standard deviation of the loss over the draws, in bits per byte.
Documents that are hard for a byte-level model are hard for the trigram, too, and this takes
seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

NUMBERS = (4, 10, 20, 30, 60, 120)
EXCERPTS = (None, 1000, 300)
NUM_DRAWS = 2000
PRIOR = 16.0  # counts that the shorter context is worth


def main() -> None:
    table = Table(*("text", "of each", *map(str, NUMBERS)), box=box.SIMPLE_HEAD)
    for path in map(Path, sys.argv[1:]):
        rng = np.random.default_rng(0)
        lines = path.read_bytes().splitlines()
        documents = [np.frombuffer(b"\0\0" + line, dtype=np.uint8) for line in lines]
        order = rng.permutation(len(documents))
        model = Trigrams([documents[i] for i in order[::2]])
        losses = [model.bits(documents[i]) for i in order[1::2]]
        for size in EXCERPTS:
            lengths = [len(each) for each in losses]
            sizes = np.minimum(lengths, size or max(lengths))
            starts = [
                rng.integers(len(each) - n + 1) for each, n in zip(losses, sizes, strict=True)
            ]
            sums = np.array(
                [each[at : at + n].sum() for each, at, n in zip(losses, starts, sizes, strict=True)]
            )
            shown = []
            for number in NUMBERS:
                # With replacement: the half is a sample of the language itself.
                drawn = rng.integers(len(losses), size=(NUM_DRAWS, number))
                shown.append(f"{(sums[drawn].sum(1) / sizes[drawn].sum(1)).std():.3f}")
            table.add_row(path.stem, "all" if size is None else f"{size} bytes", *shown)
    Console(width=100).print(table)


class Trigrams:
    """p(c | ab) = (n(abc) + k p(c | b)) / (n(ab) + k), and so on down to equal bytes."""

    def __init__(self, documents: list[NDArray[np.uint8]]) -> None:
        text = np.concatenate(documents).astype(np.int64)
        three = np.bincount(text[:-2] << 16 | text[1:-1] << 8 | text[2:], minlength=2**24)
        two = np.bincount(text[:-1] << 8 | text[1:], minlength=2**16).reshape(256, 256)
        one = np.bincount(text, minlength=256)
        p = (one + PRIOR / 256) / (one.sum() + PRIOR)
        p = (two + PRIOR * p) / (two.sum(1, keepdims=True) + PRIOR)
        counts = three.reshape(256, 256, 256)
        self._p = (counts + PRIOR * p[None]) / (counts.sum(2, keepdims=True) + PRIOR)

    def bits(self, document: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Of each byte after the first two."""
        loss: NDArray[np.float64] = -np.log2(self._p[document[:-2], document[1:-1], document[2:]])
        return loss


if __name__ == "__main__":
    main()
