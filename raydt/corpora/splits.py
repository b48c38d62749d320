"""The three splits, and the rule that assigns documents to them.

The rule depends on a document's index. So in a line-parallel corpus, a line in `val` or `test` of
one language is in no language's `train`: a model pretrained on German has not read the German
translation of an English test document.

For many documents only the index counts, so that a corpus of any size is read once. For few (`few`)
the number of documents counts too, and for even fewer their lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import xxhash
from numpy.typing import NDArray

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# The options of a sweep that ask for bytes of each, for messages.
OPTIONS: dict[Split, str] = {
    "train": "--pretrain-size and --sizes",
    "val": "--val-bytes",
    "test": "--test-bytes",
}

SEPARATOR = 0  # the byte that ends a document
SHARE = 0.05  # of the documents, for each of val and test, if there are many


@dataclass(frozen=True)
class SplitRule:
    """The options of the splits; a share of None depends on the documents."""

    val_share: float | None = None
    test_share: float | None = None
    seed: int = 0

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of val and test, if there are many documents."""
        val, test = self.val_share, self.test_share
        return SHARE if val is None else val, SHARE if test is None else test

    def __str__(self) -> str:
        val, test = self.shares
        return (
            f"u = default_rng([{self.seed}, 0]).random()[document index]: u < {val:g} val, "
            f"u < {val + test:g} test, else train; each split in the order of "
            f"default_rng([{self.seed}, 1]).random()[document index]"
        )

    def stream(self, number: int, first_index: int = 0) -> np.random.Generator:
        """Random numbers for documents from `first_index` on: 0 splits, 1 order, 2 excerpts."""
        generator = np.random.PCG64(np.random.SeedSequence([self.seed, number]))
        # A call of `random` advances this generator by one step.
        return np.random.Generator(generator.advance(first_index))


@dataclass(frozen=True)
class Cut:
    """A held-out excerpt of a document, in bytes of its text, before alignment to characters."""

    split: Split
    begin: int
    end: int


@dataclass(frozen=True)
class FewDocuments:
    """The splits of a corpus with few documents, which are all known before they are assigned."""

    splits: NDArray[np.int8]  # (D,); for a document with excerpts: the split of the rest
    cuts: Mapping[int, tuple[Cut, ...]] = field(default_factory=dict)  # by document, in order

    @property
    def rounds(self) -> int:
        """Maximum number of excerpts of a document in one split."""
        return max((-(-len(cuts) // 2) for cuts in self.cuts.values()), default=1)


class SplitKeys:
    """Draws the split and place of documents, in the order of their indices.

    Unless there are few, a document's split and its place relative to another document depend only
    on the two indices, not on the number of documents. They never depend on how many are drawn at a
    time.
    """

    def __init__(
        self,
        first_index: int = 0,
        rule: SplitRule | None = None,
        few: FewDocuments | None = None,
        named: Iterator[NDArray[np.float64]] | None = None,
    ) -> None:
        """`named`: for the documents from `first_index` on, in arrays of any length, the number
        that replaces the index's in the choice of the split; NaN if there is none."""
        self._named = named
        self._held = np.zeros(0)
        rule = rule or SplitRule()
        self._val_share, self._test_share = rule.shares
        self._few = few
        self._next = first_index
        self._split, self._order = (rule.stream(number, first_index) for number in (0, 1))

    def draw(self, num_documents: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """For the next documents (D,): the index of the split in `SPLITS`, and the place there."""
        u = self._split.random(num_documents)
        if self._named is not None:
            names = self._next_named(num_documents)
            u[: len(names)] = np.where(np.isnan(names), u[: len(names)], names)
        split = np.zeros(num_documents, dtype=np.int8)
        if self._few is None:
            split[u < self._val_share + self._test_share] = SPLITS.index("test")
            split[u < self._val_share] = SPLITS.index("val")
        else:
            known = self._few.splits[self._next : self._next + num_documents]
            split[: len(known)] = known
        self._next += num_documents
        return split, self._order.random(num_documents)

    def _next_named(self, number: int) -> NDArray[np.float64]:
        assert self._named is not None
        while len(self._held) < number:
            more = next(self._named, None)
            if more is None:
                break
            self._held = np.concatenate([self._held, more])
        now, self._held = self._held[:number], self._held[number:]
        return now


def name_number(name: bytes, seed: int) -> float:
    """The number of a document's name that replaces its index's, from 0 to 1."""
    return float((xxhash.xxh3_64_intdigest(name, seed=seed) >> 11) * 2.0**-53)


def split_documents(
    num_documents: int, few: FewDocuments | None = None
) -> dict[Split, NDArray[np.int64]]:
    """Shuffled indices of the documents of each split; together a permutation of all."""
    split, place = SplitKeys(few=few).draw(num_documents)
    order = place.argsort(kind="stable")
    return {name: order[split[order] == number] for number, name in enumerate(SPLITS)}
