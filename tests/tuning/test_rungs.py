"""Who is stopped at a rung, on planted curves."""

from __future__ import annotations

import math

import pytest

from raydt.config.recipe import Recipe
from raydt.tracking.schema import Stage
from raydt.tuning.rungs import extrapolated_score, is_stopped, rung_bytes, rungs_passed, standing_at
from raydt.tuning.score import ended_score, price_of_a_doubling
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.units import Size
from tests.tuning.planted import Curve, curve_of

SIZE = 32_000
PRICE = price_of_a_doubling(0.003)
# Trials that are a little better and a little worse than the recipe as it was.
OTHERS = (-0.02, 0.0, 0.01, 0.03)


def baseline_of(curve: Curve) -> Finished:
    trial = Trial(Kind.BASELINE, Stage.SCRATCH, None, "de", Size(SIZE, "32k"), 0, 0, Recipe())
    return Finished(trial, End.DONE, curve, curve[-1][0], 1.0, 0.0)


BASELINE = baseline_of(curve_of(1.0, SIZE))


def at_rung(curve: Curve, number: int = 1, baseline: Finished = BASELINE) -> Curve:
    """The curve as it is when it has just come to a rung."""
    for n in range(1, len(curve) + 1):
        if rungs_passed(curve[:n], baseline) >= number:
            return curve[:n]
    raise AssertionError("it never comes there")


def final(curve: Curve) -> float:
    best = min(loss for _, loss in curve)
    return ended_score(best, curve[-1][0], BASELINE.best_val_loss, BASELINE.bytes_seen, PRICE)


def test_rungs_are_shares_of_the_bytes_of_the_recipe_as_it_was() -> None:
    assert rung_bytes(1, BASELINE) == pytest.approx(BASELINE.bytes_seen * 2 / 3)
    assert rung_bytes(3, BASELINE) == pytest.approx(BASELINE.bytes_seen * 8 / 3)
    for share, number in ((0.0, 0), (0.6, 0), (0.7, 1), (1.3, 1), (1.4, 2), (2.8, 3)):
        assert rungs_passed([(round(share * BASELINE.bytes_seen), 1.0)], BASELINE) == number
    assert rungs_passed([], BASELINE) == 0


def test_a_slow_starter_that_ends_best_goes_on() -> None:
    slow = curve_of(0.93, SIZE, speed=0.15)
    assert final(slow) < -0.04
    number = 1
    while rungs_passed(slow, BASELINE) >= number:
        here = at_rung(slow, number)
        assert not is_stopped(number, here, OTHERS, BASELINE, PRICE)
        number += 1
    # It is far behind at the first rung: halving there would have stopped it.
    standing = standing_at(1, at_rung(slow), None, BASELINE)
    assert standing is not None
    assert standing > max(OTHERS)


def test_one_that_has_settled_at_a_bad_place_is_stopped() -> None:
    bad = curve_of(1.1, SIZE)
    assert final(bad) > 0.05
    assert is_stopped(1, at_rung(bad), OTHERS, BASELINE, PRICE)


def test_one_that_will_never_come_there_is_stopped_however_long_it_falls() -> None:
    crawling = curve_of(1.0, SIZE, speed=0.05, slope=0.5)
    stopped = [
        number
        for number in range(1, rungs_passed(crawling, BASELINE) + 1)
        if is_stopped(number, at_rung(crawling, number), OTHERS, BASELINE, PRICE)
    ]
    assert stopped
    assert final(crawling) > 0


def test_who_is_not_behind_the_median_goes_on() -> None:
    bad = at_rung(curve_of(1.1, SIZE))
    assert extrapolated_score(bad, BASELINE, PRICE) > 0
    assert not is_stopped(1, bad, (0.2, 0.3, 0.4), BASELINE, PRICE)
    assert not is_stopped(1, bad, (-0.02, math.inf, math.inf), BASELINE, PRICE)


def test_before_three_others_were_there_nobody_is_stopped() -> None:
    bad = at_rung(curve_of(1.1, SIZE))
    assert not is_stopped(1, bad, (), BASELINE, PRICE)
    assert not is_stopped(1, bad, OTHERS[:2], BASELINE, PRICE)
    assert is_stopped(1, bad, OTHERS[:3], BASELINE, PRICE)


def test_a_finetune_on_its_way_back_goes_on() -> None:
    """Its best is still that of the weights it started from; its slope says more."""
    seen = [round(BASELINE.bytes_seen * share) for share in (0.1, 0.2, 0.34, 0.5, 0.67)]
    back = [(0, 1.2), *zip(seen, (1.8, 1.6, 1.45, 1.3, 1.15), strict=True)]
    assert not is_stopped(1, back, OTHERS, BASELINE, PRICE)
    stuck = [(0, 1.2), *zip(seen, (1.8, 1.8, 1.8, 1.8, 1.8), strict=True)]
    assert is_stopped(1, stuck, OTHERS, BASELINE, PRICE)


def test_a_curve_without_a_doubling_says_nothing_yet() -> None:
    short = [(round(BASELINE.bytes_seen * share), 1.5) for share in (0.5, 0.7)]
    assert extrapolated_score(short, BASELINE, PRICE) == -math.inf
    assert not is_stopped(1, short, OTHERS, BASELINE, PRICE)


def test_others_count_by_what_they_were_at_the_rung() -> None:
    early = tuple((seen, loss) for seen, loss in BASELINE.val_losses if seen < 4 * SIZE)
    at = rung_bytes(1, BASELINE)
    # Still training, it has not come there; ended, it keeps its best; diverged, it is the worst.
    assert standing_at(1, early, None, BASELINE) is None
    assert standing_at(1, early, End.STOPPED, BASELINE) is None
    ended = standing_at(1, early, End.DONE, BASELINE)
    assert ended == pytest.approx(math.log(early[-1][1] / (1 + (SIZE / at) ** 2)), abs=0.005)
    assert standing_at(1, early, End.DIVERGED, BASELINE) == math.inf
    assert standing_at(1, BASELINE.val_losses, End.DONE, BASELINE) == pytest.approx(0)
