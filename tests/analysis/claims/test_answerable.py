"""What a plan says of a grid, its analysis says too."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from analysis.claims.answerable import OWN_SD, PRETRAIN_SD, Axes, answerable
from analysis.claims.claim import Verdict
from analysis.claims.every import claim_answers
from analysis.simulate import plants
from analysis.simulate.trial import run_trial
from analysis.simulate.world import TEN, World


def said(axes: Axes) -> dict[str, tuple[bool, str]]:
    return {one.claim: (one.can, one.detail) for one in answerable(axes)}


@pytest.mark.parametrize(("languages", "seeds"), [(2, 2), (3, 2), (4, 2), (5, 2), (6, 1)])
def test_what_cannot_be_answered_has_no_verdict_where_everything_is_plain(
    languages: int, seeds: int
) -> None:
    """A world in which near gives more, both ways alike: each claim has an answer in it."""
    names = TEN[:languages]
    possible = said(Axes(names, names, 3, seeds))
    one = run_trial(World(names, seeds, plants.near_gives(0.05)), np.random.default_rng(3), 150)
    for answer in claim_answers(one.effective, noise=one.noise, explore=False, forecast=False):
        if not possible[answer.name][0]:
            assert answer.verdict is Verdict.UNDECIDED, answer.sentence


def test_six_languages_in_both_roles_can_answer_all() -> None:
    possible = said(Axes(TEN[:6], TEN[:6], 3, 2))
    assert all(can for can, _ in possible.values())
    one = run_trial(World(TEN[:6], 2, plants.near_helps(0.97)), np.random.default_rng(4), 150)
    found = claim_answers(one.effective, noise=one.noise, explore=False, forecast=False)
    verdicts = {answer.name: str(answer.verdict) for answer in found}
    assert verdicts == {
        "similar": "no",
        "similarity": "yes",
        "commutative": "yes",
        "specific": "no",
        "hurt": "no",  # although the farthest pairs gain next to nothing
    }


def test_two_targets_that_are_no_sources_can_answer_two() -> None:
    axes = Axes(("related", "unrelated", "nonsense"), ("alba", "brio"), 2, 3)
    possible = said(axes)
    assert [name for name, (can, _) in possible.items() if can] == ["similar", "hurt"]
    assert possible["commutative"][1] == "needs 4 more languages that are source and target"
    assert possible["specific"][1] == "needs 3 sources with known distances to 3 targets"


def test_one_source_or_one_seed_is_said_to_be_too_few() -> None:
    assert said(Axes(("en",), ("de",), 1, 2))["similar"] == (False, "needs another source")
    one_seed = said(Axes(TEN[:6], TEN[:6], 1, 1))
    for claim in ("similar", "commutative", "hurt"):
        assert one_seed[claim][1].startswith("needs a second seed")
    assert one_seed["similarity"][0]


def test_languages_that_are_all_equally_far_say_nothing_of_distance() -> None:
    # Two families of two: labels change nothing within them, nor if the families change places.
    names = ("related", "alba", "lusa", "hispa")
    can, detail = said(Axes(names, names, 2, 2))["similarity"]
    assert not can
    assert "at different distances" in detail


def test_a_grid_of_one_language_into_itself_has_nothing_to_answer() -> None:
    assert answerable(Axes(("en",), ("en",), 1, 3)) == []


def test_more_seeds_show_less() -> None:
    shown = [
        float(said(Axes(TEN[:6], TEN[:6], 2, seeds))["similar"][1].split()[-1].rstrip("%"))
        for seeds in (2, 3, 6, 60)
    ]
    assert shown == sorted(shown, reverse=True)
    # With so many that nothing is estimated: two normal quantiles of a standard error.
    error = math.sqrt(2 * (PRETRAIN_SD**2 + OWN_SD**2 / 10) / 60)
    assert shown[-1] / 100 == pytest.approx(error * (norm.ppf(0.975) + norm.ppf(0.8)), abs=5e-4)


def test_a_ladder_that_begins_at_the_smallest_size_may_forbid_a_yes() -> None:
    """A source that gives nothing ends above scratch as often as below; above is off the ladder."""
    axes = Axes(TEN[:6], TEN[:6], 3, 2)
    assert "rung below" not in said(axes)["similar"][1]
    can, detail = said(replace(axes, rung_below=False))["similar"]
    assert can
    assert detail.endswith("yes may need a rung below the smallest size")


def test_sources_that_are_as_near_to_one_target_as_to_another_have_no_slope() -> None:
    """Their distances are 1, 0.7, 0.4 and 0.1 to any target: the source's effect, not nearness."""
    dose = tuple(f"w1-s{share}-v2" for share in ("0", "0.3", "0.6", "0.9"))
    can, detail = said(Axes(dose, ("related", "alba", "brio"), 1, 2))["specific"]
    assert not can
    assert detail == "needs sources near to one target and far from another"
    can, detail = said(Axes(TEN, TEN, 2, 2))["specific"]
    assert can
    assert detail.startswith("70 degrees of freedom; detects a 1.1-fold D_E")


def test_distances_that_are_all_source_and_target_explain_nothing_beyond_them() -> None:
    """A world for two of four, words in common with none: all but 0.05 % is the source's."""
    sources = ("w1-s0-v2", "w1-s0-v3", "w0-s0-v4", "w0-s0-v5")
    can, detail = said(Axes(sources, ("w1-s0-v6", "w1-s0-v7", "w1-s0-v8"), 1, 2))["similarity"]
    assert not can
    assert detail == "distances: under 1% of its variance is beyond the controls"
