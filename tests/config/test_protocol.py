from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydt.config.recipe import Recipe
from raydt.units import Size


def test_the_budget_grows_by_its_power() -> None:
    recipe = Recipe(
        budget_bytes=Size(60_000, "60k"), budget_at_bytes=Size(2_000, "2k"), budget_exponent=0.5
    )
    assert recipe.budget(2_000) == 60_000
    assert recipe.budget(32_000) == 240_000
    epochs = Recipe(budget_bytes="20k", budget_at_bytes="2k", budget_exponent=1)
    assert epochs.budget(64_000) == 640_000


@given(st.integers(128, 10**9), st.integers(2, 4096))
def test_steps_use_the_budget_and_no_cell_is_short_of_them(size: int, window: int) -> None:
    recipe = Recipe()
    batch = recipe.batch_windows(size, window)
    steps = recipe.num_steps(size, window)
    assert 1 <= batch <= recipe.max_batch_windows
    assert recipe.budget(size) <= steps * batch * window < recipe.budget(size) + batch * window
    assert batch == 1 or steps >= recipe.min_steps


@pytest.mark.parametrize("field", ["learning_rate", "clip_norm", "max_batch_windows"])
def test_zero_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="greater than"):
        Recipe.model_validate({field: 0})


def test_learning_rates_decay_and_batch_follow_the_size_by_their_powers() -> None:
    recipe = Recipe(
        budget_bytes="8M",
        budget_at_bytes="2k",
        budget_exponent=1,
        max_batch_windows=4,
        learning_rate=0.02,
        embedding_learning_rate=0.04,
        weight_decay=0.1,
        learning_rate_exponent=-0.5,
        weight_decay_exponent=-1,
        batch_exponent=0.5,
    )
    larger = recipe.for_size(32_000)
    assert larger.learning_rate == pytest.approx(0.005)
    assert larger.embedding_learning_rate == pytest.approx(0.01)
    assert larger.weight_decay == pytest.approx(0.1 / 16)
    assert larger.for_size(32_000) == larger, "once resolved, nothing follows the size any more"
    assert recipe.batch_windows(32_000, 128) == 16
    assert recipe.batch_windows(500, 128) == 2
    assert larger.budget(32_000) == recipe.budget(32_000)


def test_a_recipe_that_follows_no_size_has_the_fingerprint_it_always_had() -> None:
    exponents = {name for name in Recipe().identity() if name.endswith("_exponent")}
    assert exponents == {"budget_exponent"}
    assert "batch_exponent" in Recipe(batch_exponent=0.5).identity()
