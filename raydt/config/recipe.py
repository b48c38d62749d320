"""How the cells of one stage are trained."""

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
    """`true` and `false` as older sweeps say it, too."""
    return {True: "blocks", False: "off"}.get(value, value) if isinstance(value, bool) else value


class Recipe(BaseModel):
    """How the cells of one stage are trained.

    A cell sees at most `epochs` times its true bytes or, where none are given, a budget that grows
    with the data by a power: `budget_bytes` at `budget_at_bytes` of data, and `budget_exponent`
    more or less as steep. A budget is what a schedule that falls is spread over; of a constant one
    it is a cap. The batch is as large as `max_batch_windows`, but small enough for `min_steps`
    steps within the budget.

    Learning rates, weight decay and batch may follow the size by powers of their own, from what
    they are at `budget_at_bytes`; `sweeps/hparams.py` finds them.

    The defaults here are those of a fixed budget; `Protocol` has the recipes that are used unless
    a sweep says otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(
        0.02, gt=0, description="learning rate of the hidden matrices (Muon)"
    )
    embedding_learning_rate: float = Field(
        0.04, gt=0, description="learning rate of everything else (AdamW)"
    )
    warmup_steps: int = Field(10, ge=0, description="steps of linear warm-up")
    final_learning_rate_fraction: float = Field(
        0.05, ge=0, le=1, description="learning rate at the end, as a fraction of the peak"
    )
    weight_decay: float = Field(0.05, ge=0, description="decoupled weight decay")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of a gradient")
    budget_bytes: SizeField = Field(
        Size(60_000, "60k"),
        description="bytes that a cell with budget-at-bytes of data may see, over all passes",
    )
    budget_at_bytes: SizeField = Field(
        Size(2_000, "2k"), description="size at which budget, rates, decay and batch are as given"
    )
    budget_exponent: float = Field(
        0.4, ge=0, le=1, description="growth of the budget with size, as a power"
    )
    max_batch_windows: int = Field(8, ge=1, description="largest batch, in windows")
    min_steps: int = Field(
        50, ge=1, description="fewest steps; the batch is made smaller to reach them"
    )

    epochs: BySize = Field(
        (), description="passes over the data, in place of the budget: 10, or by size 0=10 6G=3"
    )
    warmup_by_size: BySize = Field(
        (), description="steps of warm-up by size, in place of the fixed number: 0=0 60M=30"
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon",
        description="optimizer of the hidden matrices; adamw: one learning rate for everything",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's beta1")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's beta2")
    z_loss: float = Field(
        0.0, ge=0, description="weight of log(Z)^2 beside the loss; never in a loss that is shown"
    )
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "cosine", description="learning rate after the warm-up; wsd holds the peak, then falls"
    )
    decay_fraction: float = Field(
        0.2, gt=0, le=1, description="fraction of the steps over which wsd falls"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of forward and backward; auto: bfloat16 where the device has it",
    )
    max_windows_at_once: int | None = Field(
        None,
        ge=1,
        description="windows of a batch at once, where memory is short: gradients are accumulated",
    )
    unseen_bytes: Literal["train", "escape", "auto"] = Field(
        "train",
        description="how to treat bytes that occur neither in the training data nor in the "
        "parent's: train pushes their embedding rows away; escape leaves the rows alone and gives "
        "all of them one fixed probability; auto: escape where the embedding is tied (family "
        "paper)",
    )
    compile: Annotated[Compiled, BeforeValidator(_switch)] = Field(
        "auto",
        description="what to compile (torch.compile): blocks, or the whole model, which takes "
        "longer and trains faster; auto: on a GPU, what pays for the length of a cell",
    )
    deterministic: bool = Field(
        False,
        description="the same bits from the same steps on a GPU, too, a few percent slower; a CPU "
        "always gives them",
    )
    learning_rate_exponent: float = Field(
        0.0, ge=-2, le=2, description="growth of both learning rates with size, as a power"
    )
    weight_decay_exponent: float = Field(
        0.0, ge=-2, le=2, description="growth of the weight decay with size, as a power"
    )
    batch_exponent: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="growth of the batch with size, as a power, in steps 1, 2, 3, 4, 6, 8, 12, ...",
    )
    average: Literal["none", "power"] = Field(
        "none",
        description="average of the weights over the steps, used for evaluation, saving and as a "
        "parent's weights; power: by a power of the step",
    )
    average_power: float = Field(
        2.0,
        ge=0,
        description="power of that average: 0 is the plain mean, a large one the last weights",
    )

    def identity(self) -> dict[str, object]:
        """What of it decides a result, as plain values; a part of a fingerprint.

        A field that was added after the first fingerprints enters only where it is not at its
        default, so that what was trained before there was such a field stays what it is.
        """
        return decisive_fields(self, _FIRST_RECIPE_FIELDS, FREE_RECIPE_FIELDS)

    def budget(self, size_bytes: int) -> int:
        """Bytes a cell of `size_bytes` may see."""
        if self.epochs:
            return round(value_at(self.epochs, size_bytes) * size_bytes)
        return round(self.budget_bytes.num_bytes * self._growth(size_bytes, self.budget_exponent))

    def batch_windows(self, size_bytes: int, window_bytes: int) -> int:
        """Windows a step."""
        fitting = self.budget(size_bytes) // (self.min_steps * window_bytes)
        most = self.max_batch_windows
        if self.batch_exponent:
            growth = self._growth(size_bytes, self.batch_exponent)
            most = _shared_evenly(self.max_batch_windows * growth)
        return max(1, min(most, fitting))

    def num_steps(self, size_bytes: int, window_bytes: int) -> int:
        """Steps that use up the budget, at least one."""
        per_step = self.batch_windows(size_bytes, window_bytes) * window_bytes
        return max(1, math.ceil(self.budget(size_bytes) / per_step))

    def for_size(self, size_bytes: int) -> Recipe:
        """The recipe with its warm-up, learning rates and weight decay as they are at this size."""
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
    """The nearest of 1, 2, 3, 4, 6, 8, 12, 16, ...: batches that ranks and parts divide evenly."""
    power = 2.0 ** math.floor(math.log2(max(1.0, windows)))
    steps = (power, 1.5 * power, 2 * power) if power > 1 else (1.0, 2.0)
    return round(min(steps, key=lambda each: abs(each - windows)))


# The recipe as it was when the first fingerprints were made, and what changes nothing but rounding
# and time.
_FIRST_RECIPE_FIELDS = frozenset(
    "learning_rate embedding_learning_rate warmup_steps final_learning_rate_fraction weight_decay "
    "clip_norm budget_bytes budget_at_bytes budget_exponent max_batch_windows min_steps".split()
)
FREE_RECIPE_FIELDS = frozenset({"max_windows_at_once", "compile", "deterministic"})


def decisive_fields(
    config: BaseModel, first: frozenset[str], free: frozenset[str] = frozenset()
) -> dict[str, object]:
    """The fields of `config` that belong in a fingerprint, as JSON values: all of `first`, none of
    `free`, of the others those that differ from their default."""
    values: Mapping[str, object] = config.model_dump(mode="json")
    changed = config.model_dump(mode="json", exclude_defaults=True)
    return {
        name: value
        for name, value in values.items()
        if name not in free and (name in first or name in changed)
    }
