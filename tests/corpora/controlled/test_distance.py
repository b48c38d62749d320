"""Distances of controlled languages: what they were made with."""

from __future__ import annotations

import pytest

from raydt.corpora.controlled.distance import controlled_distance


def apart(one: str, other: str) -> float:
    found = controlled_distance(one, other)
    assert found is not None
    assert found == controlled_distance(other, one)
    return found


def test_families_are_near_and_the_daughters_of_two_are_as_far_as_strangers() -> None:
    assert apart("related", "alba") < apart("alba", "brio") < apart("alba", "lusa")
    assert apart("lusa", "hispa") < 0.5 * apart("lusa", "related")
    assert apart("lusa", "related") == pytest.approx(apart("unrelated", "distant"), abs=0.05)


def test_the_dials_are_the_distance() -> None:
    """What is kept at 0.3 is kept at 0.6: along a dial distances add up."""
    steps = [apart("w1-s1", f"w1-s{share}") for share in ("0.75", "0.5", "0.25", "0")]
    assert steps == sorted(steps)
    assert steps[1] == pytest.approx(steps[3] / 2, abs=0.05)
    assert apart("w1-s0.75", "w1-s0.25") == pytest.approx(steps[1], abs=0.05)
    assert apart("related", "w0-s1") == pytest.approx(0.5)  # all words, nothing of the world
    assert apart("related", "w0.5-s1") == pytest.approx(0.25)
    assert apart("w0.5-s1", "w0-s1") == pytest.approx(0.25)  # the other world is one


def test_another_variant_has_another_world() -> None:
    assert apart("w0-s1", "w0-s1-v2") > apart("w0.5-s1", "w0.5-s1-v2")
    assert apart("w0-s1", "w0-s1-v2") == pytest.approx(0.5, abs=0.01)


def test_the_same_words_in_other_letters_are_other_words() -> None:
    assert apart("related", "related-greek") > 0.4


def test_what_says_nothing_or_is_no_controlled_language_has_no_distance() -> None:
    assert controlled_distance("related", "nonsense") is None
    assert controlled_distance("brackets", "alba") is None
    assert controlled_distance("en", "de") is None
    assert controlled_distance("en", "en") == 0
