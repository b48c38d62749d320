"""Every prefix has the shares to within a document, whatever the documents and the shares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from raydt.corpora.preparing.interleave import interleave


def stream(lengths: list[int]) -> NDArray[np.uint8]:
    """Documents of these lengths, each with its separator."""
    data = np.ones(sum(lengths), dtype=np.uint8)
    data[np.cumsum(lengths) - 1] = 0
    return data


@pytest.mark.parametrize("seed", range(20))
def test_every_prefix_has_the_shares_to_within_a_document(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 7))
    weights = random.integers(1, 20, count).tolist()
    whole = sum(weights)
    shares = [Fraction(weight, whole) for weight in weights]
    # Lengths that differ by orders of magnitude, between languages and within one.
    lengths = [
        np.maximum(1, random.lognormal(random.uniform(1, 6), 1.5, 1000)).astype(int).tolist()
        for _ in range(count)
    ]
    longest_of = [max(each) for each in lengths]
    used, total, num_documents = [0] * count, 0, 0
    for number, begin, end in interleave([stream(each) for each in lengths], shares):
        assert begin == used[number], "in the order of the language, none left out"
        used[number], total, num_documents = end, total + end - begin, num_documents + 1
        for of_it, weight, own in zip(used, weights, longest_of, strict=True):
            assert of_it * whole - weight * total <= own * whole
            assert weight * total - of_it * whole <= max(longest_of) * whole
    assert num_documents > 100


def test_a_last_document_that_is_cut_is_none_and_longer_streams_begin_alike() -> None:
    halves = [Fraction(1, 2)] * 2
    whole = [stream([3, 4, 5, 6]), stream([2, 2, 9, 9])]
    all_turns = list(interleave(whole, halves))
    for cut in range(1, 12):
        short = [whole[0][:-cut], whole[1]]
        turns = list(interleave(short, halves))
        assert turns == all_turns[: len(turns)]
        assert all(end <= len(short[number]) for number, _, end in turns)
