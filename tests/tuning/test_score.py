from __future__ import annotations

import math

import pytest

from raydt.config.protocol import Protocol
from raydt.training import ending
from raydt.tuning.score import (
    LAST_SHARE,
    PRICE_OF_A_DOUBLING,
    ended_score,
    log_best,
    price_of_a_doubling,
    score,
    standing,
)
from tests.tuning.planted import curve_of


def test_the_same_losses_are_0() -> None:
    assert score([2.0, 1.5], [2.0, 1.5, 1.4]) == 0


def test_it_compares_the_best_at_the_same_number_of_evaluations() -> None:
    assert score([2.0, 1.8], [2.0, 1.9, 1.0]) == pytest.approx(math.log(1.8 / 1.9))
    assert score([2.0, 1.5, 1.7], [2.0, 1.6, 1.8]) == pytest.approx(math.log(1.5 / 1.6))


def test_a_reference_that_stopped_keeps_its_best() -> None:
    assert score([2.0, 1.5, 1.2], [2.0, 1.6]) == pytest.approx(math.log(1.2 / 1.6))


def test_a_budget_has_its_price() -> None:
    assert score([1.0], [1.0], 2.0) == pytest.approx(PRICE_OF_A_DOUBLING)
    assert score([1.0], [1.0], 0.5) == pytest.approx(-PRICE_OF_A_DOUBLING)


def test_the_best_so_far_lies_on_a_line_in_log_bytes_between_evaluations() -> None:
    curve = [(0, 3.0), (100, 2.0), (400, 1.0), (800, 1.5)]
    assert log_best(curve, 200) == pytest.approx(math.log(2) / 2)
    assert log_best(curve, 400) == log_best(curve, 600) == log_best(curve, 9_999) == 0
    assert log_best(curve, 50) == math.log(3)  # of weights that it starts from, up to the next
    assert log_best(curve[1:], 50) == math.log(2)


def test_a_larger_batch_on_the_same_curve_is_not_behind_at_equal_bytes() -> None:
    small, large = (curve_of(1.0, 2_000, step_bytes=step) for step in (128, 1024))
    # After equal numbers of evaluations it looks better, for the bytes that it has seen by then.
    for number in range(3, 9):
        assert score([loss for _, loss in large[:number]], [loss for _, loss in small]) < -0.1
        assert standing(large[:number], small, large[number - 1][0]) == pytest.approx(0, abs=0.01)


def test_the_price_of_bytes_is_the_tolerance_of_the_end() -> None:
    assert LAST_SHARE == ending._LAST_SHARE
    price = price_of_a_doubling(0.003)
    assert price == pytest.approx(0.00513, abs=1e-5)
    assert price_of_a_doubling(Protocol().tolerance) == pytest.approx(PRICE_OF_A_DOUBLING, rel=0.05)
    assert ended_score(1.0, 2_000, 1.0, 1_000, price) == pytest.approx(price)
    assert ended_score(1.0, 500, 1.0, 1_000, price) == pytest.approx(-price)
    # One and a half times the bytes for `tolerance` less loss: no better and no worse.
    assert ended_score(math.exp(-0.003), 1_500, 1.0, 1_000, price) == pytest.approx(0)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_a_cell_ends_near_where_its_own_curve_is_best_by_that_price(slope: float) -> None:
    """So that a score rewards neither an end that comes too early, nor one that comes too late."""
    whole = curve_of(1.0, 32_000, slope=slope, protocol=Protocol(tolerance=0), cap_bytes=10**9)
    ended = curve_of(1.0, 32_000, slope=slope, cap_bytes=10**9)
    price = price_of_a_doubling(0.003)
    by_end = [ended_score(loss, seen, ended[-1][1], ended[-1][0], price) for seen, loss in whole]
    assert min(by_end) > -0.0015
