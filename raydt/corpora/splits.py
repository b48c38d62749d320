"""The three splits, and which of them a document belongs to.

The rule looks at a document's index and at nothing else. In a line-parallel corpus a line that is
`val` or `test` in one language is therefore in no language's `train`: a model pretrained on German
has not read the German of an English test document.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

SEPARATOR = 0  # the byte that ends a document
SPLIT_SEED = 0
VAL_SHARE = 0.05
TEST_SHARE = 0.05
SPLIT_RULE = (
    f"u = default_rng([split_seed, 0]).random()[line index]: u < {VAL_SHARE} val, "
    f"u < {VAL_SHARE + TEST_SHARE} test, else train; each split in the order of "
    "default_rng([split_seed, 1]).random()[line index]"
)


class SplitKeys:
    """The random numbers that place documents, drawn in the order of their indices.

    A document's split and its place relative to another document depend on the two indices, and
    not on how many documents there are or how many are drawn at a time.
    """

    def __init__(self, first_index: int = 0) -> None:
        self._split, self._order = (
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([SPLIT_SEED, stream])))
            for stream in (0, 1)
        )
        for generator in (self._split, self._order):
            # A draw of `random` takes one step of this generator.
            cast(np.random.PCG64, generator.bit_generator).advance(first_index)

    def draw(self, num_documents: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Of the next documents (D,): which of `SPLITS` each is in, and its place there."""
        u = self._split.random(num_documents)
        split = np.zeros(num_documents, dtype=np.int8)
        split[u < VAL_SHARE + TEST_SHARE] = SPLITS.index("test")
        split[u < VAL_SHARE] = SPLITS.index("val")
        return split, self._order.random(num_documents)


def split_documents(num_documents: int) -> dict[Split, NDArray[np.int64]]:
    """Indices of the documents of each split, shuffled; together a permutation of all."""
    split, place = SplitKeys().draw(num_documents)
    order = place.argsort(kind="stable")
    return {name: order[split[order] == number] for number, name in enumerate(SPLITS)}
