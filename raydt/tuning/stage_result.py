"""The result of a stage of a search."""

from __future__ import annotations

from dataclasses import dataclass

from raydt.config.recipe import Recipe
from raydt.tracking.schema import Stage
from raydt.tuning.check import Comparison
from raydt.tuning.rule import Rule


@dataclass(frozen=True)
class StageResult:
    """`recipe` is the one to use; `rule` and `comparisons` describe the rule's recipe even if it
    was not better."""

    stage: Stage
    recipe: Recipe
    is_tuned: bool
    rule: Rule | None
    comparisons: tuple[Comparison, ...]
    num_trials: int
    why: str  # a sentence
