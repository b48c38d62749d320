"""The space is around the recipe that is there, whichever it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from raydt.config.protocol import Protocol, Recipe
from raydt.tuning.space import EMBEDDING_LEARNING_RATE, EVERY, WEIGHT_DECAY, recipe_at, search_space

WINDOW = 128


def test_the_default_recipe_is_searched_whole() -> None:
    assert search_space(Recipe()) == EVERY


def test_what_a_factor_cannot_change_is_left_out() -> None:
    space = search_space(Recipe(optimizer="adamw", weight_decay=0, warmup_steps=0))
    assert {each.name for each in space} == {"learning_rate", "max_batch_windows", "budget_bytes"}


def test_without_factors_a_recipe_is_itself_at_its_size() -> None:
    recipe = Recipe(learning_rate_exponent=-0.2, batch_exponent=0.3)
    for size in (2_000, 8_000, 512_000):
        here = recipe_at(recipe, size, WINDOW, {})
        assert here.budget(size) == recipe.budget(size)
        assert here.batch_windows(size, WINDOW) == recipe.batch_windows(size, WINDOW)
        assert here.num_steps(size, WINDOW) == recipe.num_steps(size, WINDOW)
        assert here.for_size(size).learning_rate == recipe.for_size(size).learning_rate


def test_factors_are_on_the_recipe_at_the_size() -> None:
    recipe = Recipe()
    factors = {each.name: 2.0 for each in EVERY}
    here = recipe_at(recipe, 32_000, WINDOW, factors)
    assert here.learning_rate == 2 * recipe.learning_rate
    assert here.weight_decay == 2 * recipe.weight_decay
    assert here.warmup_steps == 20
    assert here.budget(32_000) == 2 * recipe.budget(32_000)
    assert here.batch_windows(32_000, WINDOW) == 16


def test_the_published_protocol_has_a_space_around_its_own_values(root: Path) -> None:
    values = tomllib.loads((root / "sweeps" / "paper.toml").read_text())
    recipe = Protocol.model_validate(values["protocol"]).scratch
    space = search_space(recipe)
    assert EMBEDDING_LEARNING_RATE not in space
    assert WEIGHT_DECAY in space
    size = 60_817_408
    here = recipe_at(recipe, size, 1024, {"budget_bytes": 1.5, "warmup_steps": 2.0})
    assert here.budget(size) == 15 * size
    assert here.warmup_steps == 60
    assert here.learning_rate == pytest.approx(2e-4)
    assert here.batch_windows(size, 1024) == 512
