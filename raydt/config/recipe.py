"""The training recipe of one stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from raydt.config.by_size import BySize, value_at
from raydt.config.size_field import SizeField
from raydt.units import Size

Compiled = Literal["auto", "off", "blocks", "model"]


def _switch(value: object) -> object:
    """Also accept `true` and `false`, as in older sweeps."""
    return {True: "blocks", False: "off"}.get(value, value) if isinstance(value, bool) else value


class Recipe(BaseModel):
    """How the cells of one stage are trained.

    A cell sees at most `epochs` times its true bytes or, without epochs, a budget that is a power
    law of the data size: `budget_bytes * (size / budget_at_bytes) ** budget_exponent`. A decaying
    schedule is spread over the budget; for a constant one it is only a cap. The batch has up to
    `max_batch_windows` windows, and fewer if `min_steps` steps would not fit into the budget.

    Learning rates, weight decay and batch size may also be power laws of the size, with their given
    values at `budget_at_bytes`; `sweeps/hparams.py` tunes them.

    The defaults here are for a fixed budget. `Protocol` has the recipes that a sweep uses by
    default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(
        0.02, gt=0, description="learning rate of the hidden matrices (Muon)"
    )
    embedding_learning_rate: float = Field(
        0.04, gt=0, description="learning rate of everything else (AdamW)"
    )
    warmup_steps: int = Field(10, ge=0, description="number of linear warm-up steps")
    final_learning_rate_fraction: float = Field(
        0.05, ge=0, le=1, description="learning rate at the end, as a fraction of the peak"
    )
    weight_decay: float = Field(0.05, ge=0, description="decoupled weight decay")
    clip_norm: float = Field(
        1.0, gt=0, description="maximum norm of the gradient; a larger one is scaled down to it"
    )
    budget_bytes: SizeField = Field(
        Size(60_000, "60k"),
        description="maximum number of bytes that a cell with budget-at-bytes of data trains on, "
        "over all epochs",
    )
    budget_at_bytes: SizeField = Field(
        Size(2_000, "2k"),
        description="data size at which budget, learning rates, weight decay and batch size have "
        "their given values",
    )
    budget_exponent: float = Field(
        0.4, ge=0, le=1, description="exponent by which the budget grows with the data size"
    )
    max_batch_windows: int = Field(8, ge=1, description="maximum batch size, in windows")
    min_steps: int = Field(
        50, ge=1, description="minimum number of steps; the batch is made smaller to reach it"
    )

    epochs: BySize = Field(
        (),
        description="maximum number of epochs, instead of the budget: 10, or by data size 0=10 "
        "6G=3",
    )
    warmup_by_size: BySize = Field(
        (), description="warm-up steps by data size, instead of warmup-steps: 0=0 60M=30"
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon",
        description="optimizer of the hidden matrices; adamw: AdamW for all parameters, with one "
        "learning rate",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's beta1")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's beta2")
    z_loss: float = Field(
        0.0, ge=0, description="weight of the z-loss, log(Z)^2; reported losses exclude it"
    )
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "cosine",
        description="learning-rate schedule after the warm-up; wsd (warmup-stable-decay) keeps the "
        "peak, then decays",
    )
    decay_fraction: float = Field(
        0.2, gt=0, le=1, description="fraction of the steps during which wsd decays"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of the forward and backward pass; auto: bfloat16 if the device "
        "supports it",
    )
    max_windows_at_once: int | None = Field(
        None,
        ge=1,
        description="maximum number of windows in memory at once; larger batches accumulate "
        "gradients [the whole batch]",
    )
    unseen_bytes: Literal["train", "escape", "auto"] = Field(
        "train",
        description="how to treat bytes that occur neither in the training data nor in the "
        "parent's: train pushes their embedding rows away; escape leaves the rows alone and gives "
        "all of them one fixed probability; auto: escape if the embedding is tied (family paper)",
    )
    compile: Annotated[Compiled, BeforeValidator(_switch)] = Field(
        "auto",
        description="what torch.compile compiles: each of the blocks, or the whole model, which "
        "takes longer to compile and trains faster; auto: on a GPU, what pays off for the length "
        "of a cell, else off",
    )
    deterministic: bool = Field(
        False,
        description="make training bitwise reproducible on a GPU, a few percent slower; on a CPU "
        "it always is",
    )
    learning_rate_exponent: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="exponent by which both learning rates grow with the data size",
    )
    weight_decay_exponent: float = Field(
        0.0, ge=-2, le=2, description="exponent by which the weight decay grows with the data size"
    )
    batch_exponent: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="exponent by which the batch grows with the data size, rounded to 1, 2, 3, 4, "
        "6, 8, 12, ... windows",
    )
    average: Literal["none", "power"] = Field(
        "none",
        description="average of the weights over the steps, which is evaluated, saved and used as "
        "a parent; power: weighted by a power of the step",
    )
    average_power: float = Field(
        2.0,
        ge=0,
        description="exponent of the power average of the weights: 0 is the plain mean, a large "
        "one approaches the last weights",
    )

    def identity(self) -> dict[str, object]:
        """The fields that decide a result, as plain values, for the fingerprint.

        A field that was added after the first fingerprints is left out at its default value, so
        that older results keep their fingerprints.
        """
        return decisive_fields(self, _FIRST_RECIPE_FIELDS, FREE_RECIPE_FIELDS)

    def budget(self, size_bytes: int) -> int:
        """Maximum number of bytes that a cell of `size_bytes` trains on."""
        if self.epochs:
            return round(value_at(self.epochs, size_bytes) * size_bytes)
        return round(self.budget_bytes.num_bytes * self._growth(size_bytes, self.budget_exponent))

    def batch_windows(self, size_bytes: int, window_bytes: int) -> int:
        """Windows per step."""
        fitting = self.budget(size_bytes) // (self.min_steps * window_bytes)
        most = self.max_batch_windows
        if self.batch_exponent:
            growth = self._growth(size_bytes, self.batch_exponent)
            most = _shared_evenly(self.max_batch_windows * growth)
        return max(1, min(most, fitting))

    def num_steps(self, size_bytes: int, window_bytes: int) -> int:
        """Number of steps that use up the budget, at least one."""
        per_step = self.batch_windows(size_bytes, window_bytes) * window_bytes
        return max(1, math.ceil(self.budget(size_bytes) / per_step))

    def for_size(self, size_bytes: int) -> Recipe:
        """The recipe with warm-up, learning rates and weight decay computed for this size."""
        resolved: dict[str, object] = {}
        if self.warmup_by_size:
            resolved["warmup_steps"] = round(value_at(self.warmup_by_size, size_bytes))
            resolved["warmup_by_size"] = ()
        if self.learning_rate_exponent:
            growth = self._growth(size_bytes, self.learning_rate_exponent)
            resolved["learning_rate"] = self.learning_rate * growth
            resolved["embedding_learning_rate"] = self.embedding_learning_rate * growth
            resolved["learning_rate_exponent"] = 0.0
        if self.weight_decay_exponent:
            growth = self._growth(size_bytes, self.weight_decay_exponent)
            resolved["weight_decay"] = self.weight_decay * growth
            resolved["weight_decay_exponent"] = 0.0
        return self.model_copy(update=resolved) if resolved else self

    def _growth(self, size_bytes: int, exponent: float) -> float:
        return math.pow(size_bytes / self.budget_at_bytes.num_bytes, exponent)


def _shared_evenly(windows: float) -> int:
    """The nearest of 1, 2, 3, 4, 6, 8, 12, 16, ...: batch sizes that ranks and accumulation steps
    divide evenly."""
    power = 2.0 ** math.floor(math.log2(max(1.0, windows)))
    steps = (power, 1.5 * power, 2 * power) if power > 1 else (1.0, 2.0)
    return round(min(steps, key=lambda each: abs(each - windows)))


# The fields of the recipe when the first fingerprints were made, and those that change only
# rounding and time.
_FIRST_RECIPE_FIELDS = frozenset(
    "learning_rate embedding_learning_rate warmup_steps final_learning_rate_fraction weight_decay "
    "clip_norm budget_bytes budget_at_bytes budget_exponent max_batch_windows min_steps".split()
)
FREE_RECIPE_FIELDS = frozenset({"max_windows_at_once", "compile", "deterministic"})


def decisive_fields(
    config: BaseModel, first: frozenset[str], free: frozenset[str] = frozenset()
) -> dict[str, object]:
    """The fields of `config` that belong in a fingerprint, as JSON values: all of `first`, none of
    `free`, and those of the others that differ from their defaults."""
    values: Mapping[str, object] = config.model_dump(mode="json")
    changed = config.model_dump(mode="json", exclude_defaults=True)
    return {
        name: value
        for name, value in values.items()
        if name not in free and (name in first or name in changed)
    }
