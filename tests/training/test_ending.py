"""When cells are evaluated, when they end, and what they might still have gained."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from raydt.training.ending import evaluation_steps, has_converged, unfinished
from raydt.training.outcome import Report


def reports(curve: Callable[[float], float], numbers: list[int]) -> list[Report]:
    return [Report(number, None, curve(number), None) for number in numbers]


GEOMETRIC = [round(1_000 * 1.2**k) for k in range(60)]


def power_law(num_bytes: float) -> float:
    return 1 + 20 * num_bytes**-0.5


def test_a_fixed_number_of_evaluations_is_spread_evenly() -> None:
    assert evaluation_steps(100, 1_000, 2_000, 1, 4) == {25, 50, 75, 100}
    assert evaluation_steps(3, 1_000, 2_000, 1, 8) == {1, 2, 3}


def test_evaluations_grow_apart_from_half_of_the_data_on() -> None:
    steps = sorted(evaluation_steps(10_000, 100, 20_000, 1.25, 8))
    assert steps[0] == 100
    assert steps[-1] == 10_000
    assert all(b / a == pytest.approx(1.25, abs=0.02) for a, b in pairwise(steps[:-1]))
    assert max(b / a for a, b in pairwise(steps)) < 1.27


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_the_last_step_is_evaluated_and_none_after_it(num_steps: int) -> None:
    steps = evaluation_steps(num_steps, 100, 100, 1.2, 8)
    assert max(steps) == num_steps
    assert min(steps) >= 1


def test_it_ends_where_the_last_third_brings_less_than_the_tolerance() -> None:
    ended = next(
        k
        for k in range(len(GEOMETRIC))
        if has_converged(reports(power_law, GEOMETRIC[: k + 1]), 0, 0.003, 4)
    )
    gains = [
        math.log(power_law(GEOMETRIC[k - 3]) / power_law(GEOMETRIC[k])) for k in (ended - 1, ended)
    ]  # 1.2^3 = 1.7: the last evaluation at or before two thirds of the bytes
    assert gains[0] >= 0.003 > gains[1]


def test_it_does_not_end_before_its_data_were_seen() -> None:
    flat = reports(lambda _: 2.0, GEOMETRIC[:20])
    assert has_converged(flat, 0, 0.003, 4)
    assert not has_converged(flat, GEOMETRIC[20], 0.003, 4)


def test_patience_counts_evaluations_without_a_better_one() -> None:
    def turns(num_bytes: float) -> float:
        return 2 + abs(math.log(num_bytes / GEOMETRIC[10]))

    assert not has_converged(reports(turns, GEOMETRIC[:14]), 0, 0, 4)
    assert has_converged(reports(turns, GEOMETRIC[:15]), 0, 0, 4)


def test_a_finetune_may_get_worse_before_it_gets_better() -> None:
    start = Report(0, None, 1.0, None)
    worse_then_better = [start, *reports(power_law, GEOMETRIC[:6])]
    assert not has_converged(worse_then_better, 0, 0.003, 4)
    assert not has_converged([start], 0, 0.003, 4)


def test_without_a_tolerance_a_slow_fall_goes_on() -> None:
    slow = reports(lambda num_bytes: 2 - 1e-9 * num_bytes, GEOMETRIC)
    assert not has_converged(slow, 0, 0, 4)


def test_unfinished_is_what_the_next_doubling_would_bring() -> None:
    for end in (15, 25, 39):
        numbers = GEOMETRIC[: end + 1]
        last = numbers[-1]
        truth = math.log(power_law(last) / power_law(2 * last))
        assert unfinished(reports(power_law, numbers)) == pytest.approx(truth, rel=0.12)


def test_unfinished_of_a_curve_that_saturates() -> None:
    rng = np.random.default_rng(0)

    def saturates(num_bytes: float) -> float:
        return 1.5 + math.exp(-num_bytes / 5_000) + 1e-5 * rng.standard_normal()

    found = unfinished(reports(saturates, GEOMETRIC[:25]))
    assert found is not None
    assert 0 <= found < 1e-3


def test_unfinished_is_nothing_where_val_was_best_before_the_end() -> None:
    turned = [*reports(power_law, GEOMETRIC[:12]), Report(GEOMETRIC[12], None, 9.0, None)]
    assert unfinished(turned) == 0
    assert unfinished([Report(0, None, 1.0, None), *reports(power_law, GEOMETRIC[:5])]) == 0


def test_unfinished_is_unknown_without_a_doubling() -> None:
    assert unfinished([]) is None
    assert unfinished([Report(0, None, 1.0, None)]) is None, "diverged before it was evaluated"
    assert unfinished(reports(power_law, [1_000])) is None
    assert unfinished(reports(power_law, [1_000, 1_500])) is None
    two = unfinished(reports(power_law, [1_000, 2_000]))
    assert two == pytest.approx(math.log(power_law(1_000) / power_law(2_000)))
