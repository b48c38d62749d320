"""Planted optima come back; where none is planted, none is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raydt.config.recipe import Recipe
from raydt.tuning.rule import Rule, Scored, fit_rule
from raydt.tuning.sampler import Sampler
from raydt.tuning.space import EVERY, scaled

SIZES = (2_000, 32_000, 512_000)
PIVOT = math.exp(np.log(SIZES).mean())


def planted(
    growths: dict[str, float], seed: int, num_trials: int = 16, level: float = 0.3
) -> list[Scored]:
    """Trials as Optuna's TPE makes them, on a loss that is quadratic around an optimum that
    follows a power law, with noise, half of them stopped; scores against a baseline that has noise,
    too."""
    rng = np.random.default_rng(seed)
    trials = []
    for size in SIZES:
        optimum = {
            each.name: level + growths.get(each.exponent or "", 0.0) * math.log(size / PIVOT)
            for each in EVERY
        }
        sampler = Sampler(EVERY, num_startup=4, seed=seed * 7 + size)
        baseline = 0.03 * sum(best**2 for best in optimum.values()) + 0.01 * rng.normal()
        trials.append(Scored(size, "de", dict.fromkeys(optimum, 0.0), 0.0))
        seen: list[float] = []
        for number in range(num_trials):
            factors = sampler.ask(str(number))
            x = {name: math.log(factor) for name, factor in factors.items()}
            score = sum(0.03 * (x[name] - optimum[name]) ** 2 for name in x)
            score += 0.01 * rng.normal() - baseline
            seen.append(score)
            if score > np.median(seen):  # as ASHA stops half of them
                sampler.tell(str(number), score, stopped_after=2)
                continue
            sampler.tell(str(number), score)
            trials.append(Scored(size, "de", x, score))
    return trials


def rules(growths: dict[str, float]) -> list[Rule]:
    found = [fit_rule(planted(growths, seed), EVERY) for seed in range(6)]
    return [rule for rule in found if rule is not None]


def test_a_planted_growth_comes_back_and_so_does_the_level() -> None:
    found = rules({"learning_rate_exponent": -0.2, "batch_exponent": 0.2})
    assert len(found) == 6
    for exponent, growth in (("learning_rate_exponent", -0.2), ("batch_exponent", 0.2)):
        kept = [rule.growths[exponent] for rule in found]
        assert sum(value * growth > 0 for value in kept) >= 4, kept
        assert np.mean([value for value in kept if value]) == pytest.approx(growth, abs=0.08)
    levels = [math.log(rule.factors["learning_rate"]) for rule in found]
    assert np.mean(levels) == pytest.approx(0.3, abs=0.15)


def test_where_none_is_planted_growths_are_mostly_0() -> None:
    growths = [growth for rule in rules({}) for growth in rule.growths.values()]
    assert len(growths) == 6 * 4
    assert sum(growth != 0 for growth in growths) <= 4


def test_a_trial_that_diverged_says_that_it_is_bad_there() -> None:
    trials = planted({}, 0)
    x = {each.name: math.log(each.high) for each in EVERY}
    with_it = fit_rule([*trials, Scored(SIZES[0], "de", x, math.inf)], EVERY)
    without = fit_rule(trials, EVERY)
    assert with_it is not None
    assert without is not None
    for name, factor in with_it.factors.items():
        assert factor == pytest.approx(without.factors[name], rel=0.5)


def test_too_few_trials_make_no_rule() -> None:
    zero = {each.name: 0.0 for each in EVERY}
    assert fit_rule([Scored(2_000, "de", zero, 0.0)] * 5, EVERY) is None
    there = {each.name: 0.1 for each in EVERY}
    assert fit_rule([Scored(2_000, "de", there, math.inf)] * 5, EVERY) is None


def test_one_size_has_no_growth() -> None:
    trials = [trial for trial in planted({"batch_exponent": 0.4}, 1) if trial.size_bytes == 32_000]
    rule = fit_rule(trials, EVERY)
    assert rule is not None
    assert set(rule.growths.values()) == {0.0}
    assert rule.pivot_bytes == pytest.approx(32_000)


def test_a_rule_on_a_recipe_is_the_product_of_both_power_laws() -> None:
    recipe = Recipe(learning_rate_exponent=-0.1)
    growths = {"learning_rate_exponent": -0.2, "budget_exponent": 0.1}
    factors = {"learning_rate": 2.0, "embedding_learning_rate": 0.5, "budget_bytes": 1.5}
    tuned = scaled(recipe, factors, growths, 32_000)
    for size in (2_000, 32_000, 512_000):
        ratio = size / 32_000
        was, now = recipe.for_size(size), tuned.for_size(size)
        assert now.learning_rate == pytest.approx(was.learning_rate * 2 * ratio**-0.2, rel=0.01)
        assert now.embedding_learning_rate == pytest.approx(
            was.embedding_learning_rate * 0.5 * ratio**-0.2, rel=0.01
        )
        assert tuned.budget(size) == pytest.approx(recipe.budget(size) * 1.5 * ratio**0.1, rel=0.01)
        assert now.weight_decay == was.weight_decay


def test_an_exponent_stays_within_what_a_recipe_allows() -> None:
    tuned = scaled(Recipe(), {"budget_bytes": 1.0}, {"budget_exponent": -0.9}, 32_000)
    assert tuned.budget_exponent == 0


def test_tables_by_size_get_the_factor() -> None:
    recipe = Recipe.model_validate(
        {"epochs": ["0=10", "6G=3"], "warmup_by_size": ["0=0", "60M=30"]}
    )
    tuned = scaled(
        recipe, {"budget_bytes": 1.5, "warmup_steps": 2.0}, {"budget_exponent": 0.0}, 32_000
    )
    assert [row.value for row in tuned.epochs] == [15, 4.5]
    assert [row.value for row in tuned.warmup_by_size] == [0, 60]
