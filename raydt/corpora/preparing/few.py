"""The splits of a corpus of few documents, of which a larger part is held out.

A loss on four documents says more about the four than about the language. With 5 % each, 115
documents would have six in val and six in test, and 15 one or none.

- From `FEW` documents on: 5 % each, by index (`splits`). Nothing has to be counted.
- Below: whole documents, `FLOOR` in val and in test, but at most 15 % each; 5 % if that is more.
- Below `EXCERPTS_BELOW`, unless the corpus is parallel: a document of `LONG_BYTES` or more gives an
  excerpt and leaves the rest to train. Every second document gives one to val, the others to test;
  if there are fewer than twice `FLOOR`, each gives to both, so many that there are `FLOOR`. Shorter
  documents are held out whole, as above.

`GAP_BYTES` between an excerpt and train go to no split, because otherwise half of the sentence at
the edge of the excerpt would be in train.

In a parallel corpus documents are always held out whole: excerpts of the same length in two
languages do not have the same content, so a line that one language tests would be in another's
training data.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.sources.documents import Block, not_blank, parts
from raydt.corpora.splits import SHARE, SPLITS, Cut, FewDocuments, Split, SplitRule

FEW = 1000  # documents; 5 % of so many are 50 +- 7
EXCERPTS_BELOW = 200  # documents; 15 % of so many are 30
FLOOR = 30  # documents in val and in test: the loss on 20 still varies by .1 to .2 bits per byte
_MOST = 0.15  # of the documents, whole, in val and in test each: more than two thirds are left
# Of the text of long documents. Test is what is reported: it gets more of the little there is.
_EXCERPT_SHARES: dict[Split, float] = {"val": 0.05, "test": 0.1}
_MIN_EXCERPT_BYTES = 300  # a window of a small model and a bit
_MAX_EXCERPT_BYTES = 4000  # unless a share is named: more of one document says little more
LONG_BYTES = 3000  # of a document that is cut: an excerpt for val and one for test leave two thirds
_STRATUM_BYTES = 1500  # of a document, per excerpt
GAP_BYTES = 128
_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, spread evenly


def count_few(blocks: Iterable[Block], is_parallel: bool) -> list[int] | None:
    """The bytes of text of each document, 0 for a blank one; None if there are `FEW` or more.

    Reads no further than necessary. In a parallel corpus blank documents count as well, because
    another language may have text there, and all lengths are 1, because lengths differ by language.
    """
    lengths: list[int] = []
    num_documents = num_before = num_lines = 0
    for block in blocks:
        is_text = not_blank(block.documents)
        text_bytes = np.where(is_text, np.diff(parts(block.documents)[1]) - 1, 0)
        lengths += np.ones_like(text_bytes).tolist() if is_parallel else text_bytes.tolist()
        num_documents += len(is_text) if is_parallel else int(is_text.sum())
        if num_documents >= FEW and not is_parallel:
            return None
        last = np.flatnonzero(is_text)
        num_lines = num_before + int(last[-1]) + 1 if len(last) else num_lines
        num_before += len(is_text)
        if num_lines >= FEW:
            return None
    # In a parallel corpus, count up to the last document that is not blank: another language may
    # lack blank lines at the end, and the split of few documents depends on their number.
    return lengths[:num_lines] if is_parallel else lengths


def split_few(lengths: Iterable[int], rule: SplitRule, is_parallel: bool) -> FewDocuments:
    """The splits of documents with these bytes of text (D,), from `count_few`."""
    text_bytes = np.array(list(lengths), dtype=np.int64)
    u = rule.stream(0).random(len(text_bytes))
    splits = np.zeros(len(text_bytes), dtype=np.int8)
    may_cut = not is_parallel and np.count_nonzero(text_bytes) < EXCERPTS_BELOW
    is_long = (text_bytes >= LONG_BYTES) & may_cut
    _hold_out(splits, np.flatnonzero(~is_long), text_bytes, u, rule)
    return FewDocuments(splits, _cuts(np.flatnonzero(is_long), text_bytes, u, rule))


def few_rule(rule: SplitRule) -> str:
    """The rule as text, for the manifest."""
    shares = {"val": rule.val_share, "test": rule.test_share}
    whole = ", ".join(
        f"{split} {f'{FLOOR}, at most {_MOST:g}, at least {SHARE:g}' if share is None else share}"
        for split, share in shares.items()
    )
    cut = ", ".join(
        f"{split} {excerpt if share is None else share}"
        for (split, share), excerpt in zip(shares.items(), _EXCERPT_SHARES.values(), strict=True)
    )
    return (
        f"fewer than {FEW} documents: those with the lowest default_rng([{rule.seed}, 0]).random()"
        f"[document index] are held out, {whole} of the documents; of fewer than {EXCERPTS_BELOW} "
        f"that are not parallel, those of {LONG_BYTES} bytes or more give excerpts, {cut} of "
        f"their text, {GAP_BYTES} bytes from what is left for train"
    )


def _hold_out(
    splits: NDArray[np.int8],
    indices: NDArray[np.int64],
    text_bytes: NDArray[np.int64],
    u: NDArray[np.float64],
    rule: SplitRule,
) -> None:
    """Hold out whole documents (I,): those with the lowest `u` in val, the next in test."""
    num_documents = int(np.count_nonzero(text_bytes[indices]))
    if not num_documents:
        return
    # Blank documents have an index and a rank too, so that a line that one language lacks does not
    # move other lines to another split.
    per_document = len(indices) / num_documents
    order = indices[u[indices].argsort(kind="stable")]
    begin = 0
    for split, share in (("val", rule.val_share), ("test", rule.test_share)):
        if share is None:
            most = min(FLOOR, int(_MOST * num_documents))
            number = max(most, round(SHARE * num_documents))
        else:
            number = round(share * num_documents)
        end = begin + round(number * per_document)
        splits[order[begin:end]] = SPLITS.index(split)
        begin = end


def _cuts(
    indices: NDArray[np.int64],
    text_bytes: NDArray[np.int64],
    u: NDArray[np.float64],
    rule: SplitRule,
) -> dict[int, tuple[Cut, ...]]:
    """The excerpts of long documents (I,)."""
    order = indices[u[indices].argsort(kind="stable")].tolist()
    v = rule.stream(2).random(len(text_bytes))
    cuts = {}
    for rank, index in enumerate(order):
        num_bytes = int(text_bytes[index])
        first: tuple[Split, ...] = ("val", "test") if rank % 2 == 0 else ("test", "val")
        if len(order) >= 2 * FLOOR:
            names = first[:1]
        else:
            each = min(ceil(FLOOR / len(order)), num_bytes // (2 * _STRATUM_BYTES))
            names = first * each
        # One excerpt at a random position in each of several equal parts of the document.
        width = num_bytes / len(names)
        cuts[index] = tuple(
            _cut(split, number * width, width, (v[index] + number * _GOLDEN) % 1, rule)
            for number, split in enumerate(names)
        )
    return cuts


def _cut(split: Split, begin: float, width: float, v: float, rule: SplitRule) -> Cut:
    """An excerpt of the `width` bytes of a document from `begin` on."""
    named = rule.val_share if split == "val" else rule.test_share
    share = _EXCERPT_SHARES[split] if named is None else named
    # If each document gives either to val or to test, half of the documents provide a whole share.
    wanted = 2 * share * width
    if named is None:
        wanted = min(wanted, _MAX_EXCERPT_BYTES)
    num_bytes = min(max(wanted, _MIN_EXCERPT_BYTES), width / 2)
    at = begin + GAP_BYTES + v * (width - 2 * GAP_BYTES - num_bytes)
    return Cut(split, int(at), int(at + num_bytes))
