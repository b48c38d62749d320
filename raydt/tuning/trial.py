"""A trial of a search, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from raydt.config.recipe import Recipe
from raydt.tracking.schema import Stage
from raydt.units import Size, parse_size


class Kind(StrEnum):
    """The purpose of a run."""

    BASELINE = "baseline"  # the previous recipe, which trials are compared with
    TRIAL = "trial"
    PARENT = "parent"  # a pretrain that finetunes start from
    CHECK_BEFORE = "check-before"  # fresh seeds, the previous recipe
    CHECK_AFTER = "check-after"  # fresh seeds, the recipe of the rule


class End(StrEnum):
    """How a trial ended."""

    DONE = "done"
    STOPPED = "stopped"  # by ASHA: others were better at the same fraction of their budget
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Trial:
    """One run. `number` counts within its kind; `origin` is a digest of what else its result
    depends on: the recipe, or the weights it starts from."""

    kind: Kind
    stage: Stage
    source: str | None
    target: str | None
    size: Size
    seed: int
    number: int
    recipe: Recipe
    origin: str = ""
    factors: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def trial_id(self) -> str:
        """A readable id, the same in every launch of a search."""
        parts = [self.kind, self.stage, self.languages, self.size.label, f"{self.number:03d}"]
        return "/".join([*parts, *([self.origin] if self.origin else [])])

    @property
    def languages(self) -> str:
        """Such as `en-de` or `de`."""
        return "-".join(name for name in (self.source, self.target) if name is not None)

    @property
    def data_language(self) -> str:
        """The language that it trains on."""
        language = self.source if self.stage is Stage.PRETRAIN else self.target
        assert language is not None
        return language

    def budget_bytes(self, window_bytes: int) -> int:
        """The maximum number of bytes it trains on, in whole steps."""
        size = self.size.num_bytes
        batch = self.recipe.batch_windows(size, window_bytes)
        return self.recipe.num_steps(size, window_bytes) * batch * window_bytes

    def facts(self) -> dict[str, object]:
        """The trial as JSON; `trial_of` is the inverse."""
        return {
            **asdict(self),
            "size": f"{self.size.label}={self.size.num_bytes}",
            "recipe": self.recipe.model_dump(mode="json"),
            "factors": dict(self.factors),
        }


def trial_of(facts: Mapping[str, Any]) -> Trial:
    """The trial from `Trial.facts`."""
    return Trial(
        Kind(facts["kind"]),
        Stage(facts["stage"]),
        facts["source"],
        facts["target"],
        parse_size(facts["size"]),
        facts["seed"],
        facts["number"],
        Recipe.model_validate(facts["recipe"]),
        facts["origin"],
        facts["factors"],
    )


@dataclass(frozen=True)
class Finished:
    """The result of a trial. `val_losses` holds bytes seen and nats per byte per evaluation."""

    trial: Trial
    end: End
    val_losses: tuple[tuple[int, float], ...]
    bytes_seen: int
    seconds: float
    time: float
    weights_sha256: str | None = None
    reason: str | None = None

    @property
    def best_val_loss(self) -> float:
        """The best validation loss; infinite if the trial diverged."""
        if self.end is End.DIVERGED or not self.val_losses:
            return float("inf")
        return min(loss for _, loss in self.val_losses)
