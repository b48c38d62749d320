"""What a search varies: factors on the recipe that is there, so that every model and every size
gets a range around values of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raydt.config.by_size import FromSize
from raydt.config.protocol import Recipe
from raydt.units import Size, format_bytes

_DIGITS = 3  # of a value in a file for people


@dataclass(frozen=True)
class Hyperparameter:
    """A factor on one or more fields of a recipe, searched on a log scale.

    `exponent` names the field of the recipe by which it may follow the size; None: it is the same
    factor at every size. Those with the same exponent share its growth.
    """

    name: str  # of the field of the recipe
    low: float
    high: float
    exponent: str | None

    @property
    def shown(self) -> str:
        """For people."""
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
# What the fields of `Recipe` allow.
EXPONENT_LIMITS = {
    "learning_rate_exponent": (-2.0, 2.0),
    "weight_decay_exponent": (-2.0, 2.0),
    "batch_exponent": (-2.0, 2.0),
    "budget_exponent": (0.0, 1.0),
}


def search_space(recipe: Recipe) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that change something in this recipe.

    A weight decay or a warm-up of 0 stays 0, whatever the factor; with AdamW alone there is one
    learning rate.
    """
    left_out = set()
    if recipe.optimizer == "adamw":
        left_out.add(EMBEDDING_LEARNING_RATE)
    if recipe.weight_decay == 0:
        left_out.add(WEIGHT_DECAY)
    warmups = [row.value for row in recipe.warmup_by_size] or [recipe.warmup_steps]
    if not any(warmups):
        left_out.add(WARMUP)
    return tuple(each for each in EVERY if each not in left_out)


def recipe_at(
    recipe: Recipe, size_bytes: int, window_bytes: int, factors: Mapping[str, float]
) -> Recipe:
    """The recipe of a trial: as `recipe` is at this size, times the factors, by name."""
    here = recipe.for_size(size_bytes)
    updates: dict[str, object] = {
        "budget_bytes": _size(recipe.budget(size_bytes) * factors.get(BUDGET.name, 1.0)),
        "budget_at_bytes": _size(size_bytes),
        "epochs": (),
        # What a step takes without a factor, held where `min_steps` holds it.
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
    and get the factor alone. With any growth the anchor `budget_at_bytes` moves to the pivot, where
    a batch is rounded to whole windows with the least harm.
    """
    if any(growths.values()):
        recipe = _anchored(recipe, round(pivot_bytes))
    updates: dict[str, object] = {}
    for name, factor in factors.items():
        if name == BUDGET.name and recipe.epochs:
            updates["epochs"] = _times(recipe.epochs, factor, whole=False)
        elif name == BUDGET.name:
            updates[name] = _size(recipe.budget_bytes.num_bytes * factor)
        elif name == BATCH.name:
            updates[name] = max(1, round(recipe.max_batch_windows * factor))
        elif name == WARMUP.name and recipe.warmup_by_size:
            updates["warmup_by_size"] = _times(recipe.warmup_by_size, factor, whole=True)
        elif name == WARMUP.name:
            updates[name] = round(recipe.warmup_steps * factor)
        else:
            updates[name] = _rounded(getattr(recipe, name) * factor)
    for exponent, growth in growths.items():
        if growth and not (exponent == BUDGET.exponent and recipe.epochs):
            low, high = EXPONENT_LIMITS[exponent]
            updates[exponent] = round(min(high, max(low, getattr(recipe, exponent) + growth)), 3)
    # Checked anew: a copy is not, and this ends up in a file.
    return Recipe.model_validate({**recipe.model_dump(), **updates})


def _anchored(recipe: Recipe, at_bytes: int) -> Recipe:
    """The same recipe with its values given at another size."""
    here = recipe.for_size(at_bytes)
    growth = (at_bytes / recipe.budget_at_bytes.num_bytes) ** recipe.batch_exponent
    budget = recipe.budget_bytes.num_bytes * (
        (at_bytes / recipe.budget_at_bytes.num_bytes) ** recipe.budget_exponent
    )
    return recipe.model_copy(
        update={
            "learning_rate": here.learning_rate,
            "embedding_learning_rate": here.embedding_learning_rate,
            "weight_decay": here.weight_decay,
            "max_batch_windows": max(1, round(recipe.max_batch_windows * growth)),
            "budget_bytes": _size(budget),
            "budget_at_bytes": _size(at_bytes),
        }
    )


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
