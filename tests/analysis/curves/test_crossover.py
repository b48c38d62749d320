"""Crossings that are known by hand come back; where there is none, a bound does."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.curves.crossing import ahead_for_good, contest
from analysis.curves.crossover import crossovers
from analysis.curves.curve import Curve, curve_of

STEPS = 1e3 * 1.2 ** np.arange(40)  # up to 1.2 MB
# 100 b^-0.5 = 5 b^-0.2 at b = 20^(1 / 0.3).
KNOWN = 20 ** (1 / 0.3)


def curve(scale: float, exponent: float, floor: float = 0.0, start: float | None = None) -> Curve:
    losses = floor + scale * STEPS**-exponent
    points = list(zip(STEPS, losses, strict=True))
    found = curve_of([(0.0, start), *points] if start else points)
    assert found is not None
    return found


def test_a_known_crossing_is_found_to_a_thousandth() -> None:
    found = ahead_for_good(contest([curve(100, 0.5)], [curve(5, 0.2, start=3.0)], 0.9))
    assert found.range == "inside"
    assert found.num_bytes == pytest.approx(KNOWN, rel=1e-3)
    assert math.isnan(found.low_bytes), "one seed says nothing about seeds"


def test_a_known_crossing_of_curves_with_a_floor_is_found_to_a_hundredth() -> None:
    scratch, tuned = curve(60, 0.5, floor=0.9), curve(2, 0.1, floor=0.5)
    fine = np.geomspace(1e3, 1e6, 2_000_000)
    difference = (0.9 + 60 * fine**-0.5) - (0.5 + 2 * fine**-0.1)
    truth = fine[np.flatnonzero(difference > 0)[-1]]
    found = ahead_for_good(contest([scratch], [tuned], 0.9))
    assert found.num_bytes == pytest.approx(truth, rel=1e-2)


def test_a_curve_that_never_gets_there_gives_a_bound() -> None:
    better = ahead_for_good(contest([curve(100, 0.3)], [curve(50, 0.3)], 0.9))
    assert better.range == "above"
    assert better.num_bytes == pytest.approx(STEPS[-1])
    worse = ahead_for_good(contest([curve(50, 0.3)], [curve(100, 0.3)], 0.9))
    assert worse.range == "below"
    assert worse.num_bytes == pytest.approx(STEPS[0])


def test_an_overtaking_that_does_not_last_is_none() -> None:
    """Scratch dips below, and the finetune comes back."""
    scratch = curve_of([(1e3, 3.0), (1e4, 1.5), (1e6, 1.4)])
    tuned = curve_of([(1e3, 2.0), (1e4, 2.0), (1e5, 1.0)])
    assert scratch is not None
    assert tuned is not None
    assert ahead_for_good(contest([scratch], [tuned], 0.9)).range == "above"


def test_a_pretrain_that_counts_moves_the_finetune() -> None:
    """Curves that are one another's shift: after the pretrain the detour is level, never ahead."""
    spent = 2e4
    found = contest([curve(100, 0.5)], [curve(100, 0.5)], 0.9, second_starts_bytes=spent)
    assert ahead_for_good(found).range == "below", "scratch is ahead all the way"
    head_start = contest([curve(100, 0.5)], [curve(10, 0.5)], 0.9, second_starts_bytes=spent)
    paid = ahead_for_good(head_start.turned())
    # 100 x^-0.5 = 10 (x - spent)^-0.5 where x = spent / 0.99; before its first look, not evaluated.
    assert paid.num_bytes == pytest.approx(spent + STEPS[0], rel=2e-2)


def test_the_interval_holds_the_crossing_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held, num = 0, 400
    for _ in range(num):
        sides = []
        for scale, exponent in ((100, 0.5), (5, 0.2)):
            luck = 0.02 * random.standard_normal(3)  # a seed's own, over all of its curve
            sides.append([curve(scale * math.exp(one), exponent) for one in luck])
        found = ahead_for_good(contest(sides[0], sides[1], 0.9))
        held += found.low_bytes <= KNOWN <= found.high_bytes
    assert 0.86 <= held / num <= 0.94


def test_a_curve_is_its_running_minimum() -> None:
    found = curve_of([(4.0, 1.0), (1.0, 3.0), (2.0, 2.0), (3.0, 2.5), (2.0, 2.2), (5.0, np.nan)])
    assert found is not None
    assert list(found.num_bytes) == [1.0, 2.0, 3.0, 4.0]
    assert np.exp(found.log_loss) == pytest.approx([3.0, 2.0, 2.0, 1.0])
    assert np.exp(found.log_loss_at(np.array([9.0]))) == pytest.approx([1.0])
    assert np.isinf(found.log_loss_at(np.array([0.5])))


def test_before_its_first_look_a_curve_is_a_line_in_bytes() -> None:
    found = curve_of([(0.0, math.e**2), (10.0, math.e), (20.0, 1.0)])
    assert found is not None
    assert found.log_loss_at(np.array([0.0, 5.0, 10.0])) == pytest.approx([2.0, 1.5, 1.0])


def test_one_evaluation_is_no_curve() -> None:
    assert curve_of([(0.0, 5.5), (10.0, 2.0)]) is None
    assert curve_of([]) is None


def row(stage: str, run: str, **facts: object) -> dict[str, object]:
    common = {"model": "nano", "target": "de", "size": "8k", "size_bytes": 8000, "status": "done"}
    return {**common, "stage": stage, "source": None, "bytes_seen": 1e5, "run_id": run, **facts}


def test_a_table_has_a_row_for_each_finetune_with_its_scratch_cell() -> None:
    cells = pd.DataFrame(
        [
            row("pretrain", "p", source="en", target=None, size="1M", size_bytes=10**6),
            row("scratch", "s0"),
            row("scratch", "s1"),
            row("finetune", "f0", source="en"),
            row("finetune", "f1", source="en"),
            row("finetune", "g0", source="zh"),  # has no curve
            row("finetune", "h0", source="en", size="2k", size_bytes=2000),  # has no scratch cell
        ]
    )
    points = {
        run: list(zip(STEPS, scale * STEPS**-exponent, strict=True))
        for run, scale, exponent in (
            ("s0", 100, 0.5),
            ("s1", 100, 0.5),
            ("f0", 5, 0.2),
            ("f1", 5, 0.2),
            ("h0", 5, 0.2),
        )
    }
    found = crossovers(cells, points, 0.9, {"nano": 1e6})
    assert len(found) == 1
    (only,) = found.to_dict("records")
    assert (only["source"], only["size"], only["num_seeds"]) == ("en", "8k", 2)
    assert only["scratch_ahead_bytes"] == pytest.approx(KNOWN, rel=1e-3)
    assert only["scratch_ahead_flops"] == pytest.approx(KNOWN * 1e6, rel=1e-3)
    # Seeds that are all alike leave no doubt.
    assert only["scratch_ahead_low_bytes"] == pytest.approx(only["scratch_ahead_high_bytes"])
    assert only["pretrain_bytes"] == 1e5
    # Scratch had overtaken before the pretrain was over.
    assert only["pretrain_paid_range"] == "above"
    assert math.isnan(crossovers(cells, points, 0.9, {}).iloc[0]["scratch_ahead_flops"])


def test_without_curves_there_is_no_table() -> None:
    cells = pd.DataFrame([row("scratch", "s0"), row("finetune", "f0", source="en")])
    assert crossovers(cells, {}, 0.9, {}).empty
