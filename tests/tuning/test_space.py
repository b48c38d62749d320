"""The space is around the recipe that is there, whichever it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from raydt.config.by_size import FromSize
from raydt.config.protocol import DEMO_PROTOCOL, Protocol
from raydt.config.recipe import Recipe
from raydt.tuning.plan import STAGES
from raydt.tuning.space import (
    EMBEDDING_LEARNING_RATE,
    EVERY,
    WEIGHT_DECAY,
    ends_by_itself,
    recipe_at,
    scaled,
    search_space,
)

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


def converged() -> Recipe:
    return Recipe(
        schedule="constant",
        average="power",
        max_batch_windows=1,
        batch_exponent=0.5,
        min_steps=1,
        epochs=(FromSize(0, 100),),
    )


def test_cells_end_by_themselves_where_nothing_has_to_know_the_horizon() -> None:
    for protocol in (Protocol(), DEMO_PROTOCOL):
        for stage in STAGES:
            assert ends_by_itself(protocol, protocol.recipe(stage))
    assert ends_by_itself(Protocol(), converged())
    assert not ends_by_itself(Protocol(evaluation_growth=1), converged())
    assert not ends_by_itself(Protocol(tolerance=0), converged())
    assert not ends_by_itself(Protocol(), converged().model_copy(update={"schedule": "cosine"}))


def test_without_a_budget_all_else_is_searched() -> None:
    space = search_space(converged(), has_budget=False)
    assert {each.name for each in space} == {
        "learning_rate",
        "embedding_learning_rate",
        "max_batch_windows",
        "warmup_steps",
        "weight_decay",
    }
    # 0.45 suits 2k and 0.05 suits 128k: both lie within the space around either.
    decay = next(each for each in space if each.name == "weight_decay")
    assert decay.low < 0.05 / 0.45
    assert decay.high > 0.45 / 0.05


def test_a_trial_keeps_the_cap_and_the_average() -> None:
    recipe = converged().model_copy(
        update={"epochs": (FromSize(0, 80), FromSize(8_000, 40)), "average_power": 3.0}
    )
    for size, epochs in ((2_000, 80), (8_000, 40), (32_000, 40)):
        here = recipe_at(recipe, size, WINDOW, {"weight_decay": 4.0, "max_batch_windows": 2.0})
        assert here.epochs == (FromSize(0, epochs),)
        assert here.budget(size) == recipe.budget(size)
        assert (here.average, here.average_power, here.schedule) == ("power", 3.0, "constant")
        assert here.batch_windows(size, WINDOW) == 2 * recipe.batch_windows(size, WINDOW)
        assert here.min_steps == recipe.min_steps


def test_the_law_of_the_batch_survives_whole_windows() -> None:
    recipe = converged()  # one window at 2k, growing by a power of 0.5
    growths = {"batch_exponent": -0.1, "weight_decay_exponent": -0.5, "learning_rate_exponent": 0.0}
    factors = {"max_batch_windows": 1.3, "weight_decay": 2.0, "learning_rate": 0.5}
    pivot = 16_000
    tuned = scaled(recipe, factors, growths, pivot)
    assert tuned.epochs == recipe.epochs
    assert tuned.batch_exponent == pytest.approx(0.4)
    for size in (2_000, 32_000, 512_000):
        ratio = size / pivot
        batch = tuned.max_batch_windows * (size / tuned.budget_at_bytes.num_bytes) ** 0.4
        assert batch == pytest.approx(8**0.5 * 1.3 * ratio**0.4, rel=0.001)
        here = tuned.for_size(size)
        assert here.weight_decay == pytest.approx(recipe.weight_decay * 2 * ratio**-0.5, rel=0.01)
        assert here.learning_rate == pytest.approx(recipe.learning_rate / 2, rel=0.01)


def test_a_factor_alone_keeps_a_batch_that_grows() -> None:
    tuned = scaled(converged(), {"max_batch_windows": 1.4}, {"batch_exponent": 0.0}, 16_000)
    batch = tuned.max_batch_windows * (128_000 / tuned.budget_at_bytes.num_bytes) ** 0.5
    assert batch == pytest.approx(1.4 * 8, rel=0.001)
