"""The search space: factors on an existing recipe, so that the range for every model and size is
around its own values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from raydt.config.by_size import FromSize, value_at
from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.units import Size, format_bytes

_DIGITS = 3  # significant digits of a value in the TOML file
# How far a rule's anchor may be from its pivot, to make a batch a whole number of windows there.
_MAX_ANCHOR_RATIO = 16


@dataclass(frozen=True)
class Hyperparameter:
    """A factor on one or more fields of a recipe, searched on a log scale.

    `exponent` names the recipe field that makes it a power law of the size; None: the same factor
    at every size. Hyperparameters with the same exponent share its growth.
    """

    name: str  # of the recipe field
    low: float
    high: float
    exponent: str | None

    @property
    def shown(self) -> str:
        """The name to show."""
        return self.name.replace("_", " ")


LEARNING_RATE = Hyperparameter("learning_rate", 1 / 4, 4, "learning_rate_exponent")
EMBEDDING_LEARNING_RATE = Hyperparameter(
    "embedding_learning_rate", 1 / 4, 4, "learning_rate_exponent"
)
BATCH = Hyperparameter("max_batch_windows", 1 / 4, 4, "batch_exponent")
WARMUP = Hyperparameter("warmup_steps", 1 / 4, 8, None)
WEIGHT_DECAY = Hyperparameter("weight_decay", 1 / 8, 8, "weight_decay_exponent")
# Epochs are the budget over the size: one hyperparameter.
BUDGET = Hyperparameter("budget_bytes", 1 / 2, 4, "budget_exponent")
EVERY = (LEARNING_RATE, EMBEDDING_LEARNING_RATE, BATCH, WARMUP, WEIGHT_DECAY, BUDGET)
_EXPONENT_OF = {each.name: each.exponent for each in EVERY}
# The limits of the fields of `Recipe`.
EXPONENT_LIMITS = {
    "learning_rate_exponent": (-2.0, 2.0),
    "weight_decay_exponent": (-2.0, 2.0),
    "batch_exponent": (-2.0, 2.0),
    "budget_exponent": (0.0, 1.0),
}


# In training until convergence, the best weight decay of a small size is ten times that of a large
# one.
_WIDE_WEIGHT_DECAY = replace(WEIGHT_DECAY, low=1 / 16, high=16)


def ends_by_itself(protocol: Protocol, recipe: Recipe) -> bool:
    """Whether cells of this recipe train until convergence, so that the budget is only a cap."""
    return (
        protocol.evaluation_growth > 1 and protocol.tolerance > 0 and recipe.schedule == "constant"
    )


def search_space(recipe: Recipe, *, has_budget: bool = True) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that have an effect in this recipe.

    A weight decay or warm-up of 0 stays 0 with any factor; with AdamW alone there is one learning
    rate; training until convergence has no budget to search.
    """
    left_out = set()
    if not has_budget:
        left_out.add(BUDGET)
    if recipe.optimizer == "adamw":
        left_out.add(EMBEDDING_LEARNING_RATE)
    if recipe.weight_decay == 0:
        left_out.add(WEIGHT_DECAY)
    warmups = [row.value for row in recipe.warmup_by_size] or [recipe.warmup_steps]
    if not any(warmups):
        left_out.add(WARMUP)
    space = (each for each in EVERY if each not in left_out)
    if has_budget:
        return tuple(space)
    return tuple(_WIDE_WEIGHT_DECAY if each is WEIGHT_DECAY else each for each in space)


def recipe_at(
    recipe: Recipe, size_bytes: int, window_bytes: int, factors: Mapping[str, float]
) -> Recipe:
    """The recipe of a trial: the values of `recipe` at this size, times the factors by name."""
    here = recipe.for_size(size_bytes)
    budget_factor = factors.get(BUDGET.name, 1.0)
    budget: dict[str, object] = {"budget_bytes": _size(recipe.budget(size_bytes) * budget_factor)}
    if recipe.epochs:
        epochs = value_at(recipe.epochs, size_bytes) * budget_factor
        budget = {"epochs": (FromSize(0, epochs),)}
    updates: dict[str, object] = {
        **budget,
        "budget_at_bytes": _size(size_bytes),
        # The bytes of a step without a factor, limited by `min_steps`.
        "max_batch_windows": max(
            1,
            round(recipe.batch_windows(size_bytes, window_bytes) * factors.get(BATCH.name, 1.0)),
        ),
        "batch_exponent": 0.0,
        "warmup_steps": round(here.warmup_steps * factors.get(WARMUP.name, 1.0)),
    }
    for each in (LEARNING_RATE, EMBEDDING_LEARNING_RATE, WEIGHT_DECAY):
        updates[each.name] = getattr(here, each.name) * factors.get(each.name, 1.0)
    return here.model_copy(update=updates)


def scaled(
    recipe: Recipe, factors: Mapping[str, float], growths: Mapping[str, float], pivot_bytes: float
) -> Recipe:
    """The recipe with every hyperparameter h multiplied, at size D, by

        factors[h] * (D / pivot) ^ growths[exponent of h],

    which is again a recipe: a power law times a power law. `epochs` and `warmup_by_size` are tables
    and get only the factor. If anything grows, the anchor `budget_at_bytes` moves to the pivot; if
    the batch grows, to the nearest size at which a batch is a whole number of windows.
    """
    exponents = _exponents(recipe, growths)
    batch_exponent = exponents.get("batch_exponent", recipe.batch_exponent)
    at_bytes = recipe.budget_at_bytes.num_bytes
    batch = recipe.max_batch_windows * factors.get(BATCH.name, 1.0)
    if exponents or batch_exponent:
        batch *= (pivot_bytes / at_bytes) ** recipe.batch_exponent
        at_bytes = _anchor(batch, batch_exponent, pivot_bytes)
        batch *= (at_bytes / pivot_bytes) ** batch_exponent
        grown = {
            name: (at_bytes / pivot_bytes) ** (value - getattr(recipe, name))
            for name, value in exponents.items()
        }
        factors = {name: f * grown.get(_EXPONENT_OF[name] or "", 1) for name, f in factors.items()}
        recipe = _anchored(recipe, at_bytes)
    updates: dict[str, object] = {BATCH.name: max(1, round(batch)), **exponents}
    for name, factor in factors.items():
        if name == BATCH.name:
            continue
        if name == BUDGET.name and recipe.epochs:
            updates["epochs"] = _times(recipe.epochs, factor, whole=False)
        elif name == BUDGET.name:
            updates[name] = _size(recipe.budget_bytes.num_bytes * factor)
        elif name == WARMUP.name and recipe.warmup_by_size:
            updates["warmup_by_size"] = _times(recipe.warmup_by_size, factor, whole=True)
        elif name == WARMUP.name:
            updates[name] = round(recipe.warmup_steps * factor)
        else:
            updates[name] = _rounded(getattr(recipe, name) * factor)
    # Validated again, as a copy is not: this is written to a file.
    return Recipe.model_validate({**recipe.model_dump(), **updates})


def _exponents(recipe: Recipe, growths: Mapping[str, float]) -> dict[str, float]:
    """The new values of the exponents that change, within the limits of a recipe."""
    exponents = {}
    for name, growth in growths.items():
        if growth and not (name == BUDGET.exponent and recipe.epochs):
            low, high = EXPONENT_LIMITS[name]
            exponents[name] = round(min(high, max(low, getattr(recipe, name) + growth)), 3)
    return exponents


def _anchor(batch: float, exponent: float, pivot_bytes: float) -> int:
    """The size at which a batch of `batch` windows at the pivot is a whole number of windows.

    A batch is only a few windows at small sizes: rounding at the pivot could be off by a third.
    """
    whole = max(1, round(batch))
    if exponent:
        doublings = math.log2(whole / batch) / exponent
        if abs(doublings) <= math.log2(_MAX_ANCHOR_RATIO):
            return max(1, round(pivot_bytes * 2**doublings))
    return round(pivot_bytes)


def _anchored(recipe: Recipe, at_bytes: int) -> Recipe:
    """The same recipe, with its rates, decay and budget stated at another size."""
    here = recipe.for_size(at_bytes)
    updates: dict[str, object] = {
        "learning_rate": here.learning_rate,
        "embedding_learning_rate": here.embedding_learning_rate,
        "weight_decay": here.weight_decay,
        "budget_at_bytes": _size(at_bytes),
    }
    if not recipe.epochs:
        growth = (at_bytes / recipe.budget_at_bytes.num_bytes) ** recipe.budget_exponent
        updates["budget_bytes"] = _size(recipe.budget_bytes.num_bytes * growth)
    return recipe.model_copy(update=updates)


def _times(table: tuple[FromSize, ...], factor: float, whole: bool) -> tuple[FromSize, ...]:
    return tuple(
        FromSize(
            row.num_bytes, round(row.value * factor) if whole else _rounded(row.value * factor)
        )
        for row in table
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _size(num_bytes: float) -> Size:
    whole = max(1, round(num_bytes))
    return Size(whole, format_bytes(whole))
