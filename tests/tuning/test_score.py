from __future__ import annotations

import math

import pytest

from raydt.tuning.score import PRICE_OF_A_DOUBLING, score


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
