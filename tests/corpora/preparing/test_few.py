"""Which documents of few are held out, and what of them; no text is read."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raydt.corpora.preparing.few import EXCERPTS_BELOW, GAP_BYTES, LONG_BYTES, split_few
from raydt.corpora.splits import SPLITS, FewDocuments, SplitKeys, SplitRule, split_documents


def test_of_many_documents_the_index_alone_decides() -> None:
    keys = SplitKeys(3, SplitRule())
    assert np.array_equal(keys.draw(7)[0], SplitKeys().draw(10)[0][3:])
    rule = SplitRule(seed=1)
    assert np.array_equal(rule.stream(0, 5).random(3), rule.stream(0).random(8)[5:])
    assert not np.array_equal(SplitKeys(0, SplitRule(seed=1)).draw(99)[1], SplitKeys().draw(99)[1])


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=300),
    st.booleans(),
    st.sampled_from([None, 0.1, 0.45]),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_the_splits_of_any_few_documents(
    lengths: list[int], is_parallel: bool, share: float | None, seed: int
) -> None:
    few = split_few(lengths, SplitRule(share, share, seed), is_parallel)
    assert len(few.splits) == len(lengths)
    if is_parallel or len([n for n in lengths if n]) >= EXCERPTS_BELOW:
        assert not few.cuts
    num_whole = len(lengths) - len(few.cuts)
    num_blank = lengths.count(0)
    for number in (1, 2):
        most = 0.15 if share is None else share
        assert np.count_nonzero(few.splits == number) <= most * num_whole + 1 + num_blank
    for index, cuts in few.cuts.items():
        assert lengths[index] >= LONG_BYTES
        assert few.splits[index] == SPLITS.index("train")
        at = 0
        for each in cuts:
            assert at + GAP_BYTES <= each.begin < each.end
            at = each.end + GAP_BYTES
        assert at <= lengths[index]


def test_a_line_that_one_language_lacks_moves_no_other() -> None:
    whole = split_few([50] * 400, SplitRule(), is_parallel=False)
    lacking = [0 if index in (3, 70, 200) else 50 for index in range(400)]
    assert np.array_equal(whole.splits, split_few(lacking, SplitRule(), False).splits)


def test_split_documents_takes_few() -> None:
    few = FewDocuments(np.array([0, 1, 2, 0], dtype=np.int8))
    found = split_documents(4, few)
    expected = {"train": [0, 3], "val": [1], "test": [2]}
    assert {split: sorted(each.tolist()) for split, each in found.items()} == expected
