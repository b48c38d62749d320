from __future__ import annotations

import math
from itertools import pairwise

import pytest

from raydt.config.recipe import Recipe
from raydt.training.optimizer.schedule import schedule_factor


def factors(recipe: Recipe, num_steps: int) -> list[float]:
    return [schedule_factor(step, num_steps, recipe) for step in range(num_steps)]


def test_cosine_warms_up_and_falls() -> None:
    found = factors(Recipe(warmup_steps=10, final_learning_rate_fraction=0.1), 200)
    assert found[:10] == [pytest.approx((i + 1) / 11) for i in range(10)]
    assert found[10] == 1
    assert all(a >= b for a, b in pairwise(found[10:]))
    assert found[-1] == pytest.approx(0.1, abs=1e-3)
    # A short cell is not all warm-up.
    assert schedule_factor(1, 10, Recipe(warmup_steps=10)) == 1


def test_constant_stays() -> None:
    found = factors(Recipe(schedule="constant", warmup_steps=4), 100)
    assert found[:4] == [pytest.approx((i + 1) / 5) for i in range(4)]
    assert set(found[4:]) == {1.0}


def test_wsd_holds_then_falls_by_a_root() -> None:
    recipe = Recipe(
        schedule="wsd", warmup_steps=0, decay_fraction=0.2, final_learning_rate_fraction=0.1
    )
    found = factors(recipe, 100)
    assert set(found[:81]) == {1.0}
    assert all(a > b for a, b in pairwise(found[80:]))
    assert found[90] == pytest.approx(1 - 0.9 * math.sqrt(0.5))
    assert found[-1] > 0.1
    # All of it decays, down to one step.
    assert factors(recipe.model_copy(update={"decay_fraction": 1.0}), 3)[0] == 1
    assert factors(recipe, 1) == [1.0]


@pytest.mark.parametrize("schedule", ["cosine", "constant", "wsd"])
@pytest.mark.parametrize("num_steps", [1, 2, 9, 10, 11, 333])
def test_never_zero_nor_above_the_peak(schedule: str, num_steps: int) -> None:
    recipe = Recipe(schedule=schedule, warmup_steps=30, final_learning_rate_fraction=0)
    assert all(0 < factor <= 1 for factor in factors(recipe, num_steps))
