"""The three splits, and which of them a document belongs to.

The rule looks at a document's index and at nothing else. In a line-parallel corpus a line that is
`val` or `test` in one language is therefore in no language's `train`: a model pretrained on German
has not read the German of an English test document.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

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


def split_documents(num_documents: int) -> dict[Split, NDArray[np.int64]]:
    """Indices of the documents of each split, shuffled; together a permutation of all.

    Neither the split of a document nor its place relative to another document depends on how many
    documents follow.
    """
    u = np.random.default_rng([SPLIT_SEED, 0]).random(num_documents)
    order = np.random.default_rng([SPLIT_SEED, 1]).random(num_documents).argsort(kind="stable")
    is_val = u[order] < VAL_SHARE
    is_test = ~is_val & (u[order] < VAL_SHARE + TEST_SHARE)
    return {"train": order[~is_val & ~is_test], "val": order[is_val], "test": order[is_test]}
