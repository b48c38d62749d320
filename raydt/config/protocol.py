"""How cells are trained: the part of a sweep that its numbers depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from raydt.config import evaluation
from raydt.config.by_size import BySize, FromSize, value_at
from raydt.errors import InputError
from raydt.tracking.schema import Stage
from raydt.units import Size, format_bytes, parse_size


def _read_size(value: object) -> Size:
    if isinstance(value, Size):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Size(value, format_bytes(value))
    try:
        return parse_size(str(value))
    except InputError as error:
        # Pydantic collects the problems of all fields, but only errors of its own kinds.
        raise PydanticCustomError(
            "size", "{requirement}", {"requirement": error.problems[0].requirement}
        ) from error


def _write_size(size: Size) -> str:
    plain = format_bytes(size.num_bytes)
    return plain if plain == size.label else f"{size.label}={size.num_bytes}"


SizeField = Annotated[
    Size, BeforeValidator(_read_size), PlainSerializer(_write_size, return_type=str)
]


def _read_size_or_auto(value: object) -> Size | None:
    return None if value is None or value == AUTO else _read_size(value)


def _write_size_or_auto(size: Size | None) -> str | None:
    return None if size is None else _write_size(size)


AUTO = "auto"  # what a file can write where it means no size
OptionalSize = Annotated[
    Size | None,
    BeforeValidator(_read_size_or_auto),
    PlainSerializer(_write_size_or_auto, return_type=str | None),
]


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

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(0.02, gt=0, description="of the hidden matrices (Muon)")
    embedding_learning_rate: float = Field(0.04, gt=0, description="of all else (AdamW)")
    warmup_steps: int = Field(10, ge=0, description="steps of linear warm-up")
    final_learning_rate_fraction: float = Field(
        0.05, ge=0, le=1, description="of the peak, where the cosine ends"
    )
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(1.0, gt=0, description="largest norm of a gradient")
    budget_bytes: SizeField = Field(
        Size(60_000, "60k"), description="bytes a cell of the next field's size may see"
    )
    budget_at_bytes: SizeField = Field(
        Size(2_000, "2k"), description="size at which budget, rates, decay and batch are as given"
    )
    budget_exponent: float = Field(0.4, ge=0, le=1, description="growth of the budget with size")
    max_batch_windows: int = Field(8, ge=1, description="windows a step at most")
    min_steps: int = Field(50, ge=1, description="smaller batches rather than fewer steps")

    epochs: BySize = Field(
        (), description="passes over the data in place of the budget; 10, or by size 0=10 6G=3"
    )
    warmup_by_size: BySize = Field(
        (), description="steps of warm-up by size, in place of the fixed number; 0=0 60M=30"
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="of the hidden matrices; adamw trains all at the learning rate"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="of AdamW")
    beta2: float = Field(0.95, ge=0, lt=1, description="of AdamW")
    z_loss: float = Field(
        0.0, ge=0, description="weight of log(Z)^2 beside the loss; never in a loss that is shown"
    )
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "cosine", description="after the warm-up; wsd holds the peak, then falls"
    )
    decay_fraction: float = Field(
        0.2, gt=0, le=1, description="of the steps, over which wsd falls to the final fraction"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of forward and backward; auto: bfloat16 where the device multiplies in it",
    )
    max_windows_at_once: int | None = Field(
        None, ge=1, description="of a batch, where memory is short: gradients are accumulated"
    )
    unseen_bytes: Literal["train", "escape", "auto"] = Field(
        "train",
        description="bytes that neither the training data nor the parent's has: train pushes their "
        "rows away; escape leaves the rows alone and gives all of them one fixed probability; "
        "auto: escape where the embedding is tied (family paper)",
    )
    compile: bool = Field(False, description="the forward pass by torch.compile")
    learning_rate_exponent: float = Field(
        0.0, ge=-2, le=2, description="growth of both learning rates with size"
    )
    weight_decay_exponent: float = Field(
        0.0, ge=-2, le=2, description="growth of the weight decay with size"
    )
    batch_exponent: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="growth of the batch with size, in the steps 1, 2, 3, 4, 6, 8, 12, ...",
    )
    average: Literal["none", "power"] = Field(
        "none",
        description="of the weights over the steps, which is then evaluated, kept and started "
        "from; power: by a power of the step",
    )
    average_power: float = Field(
        2.0, ge=0, description="of that average: 0 is the plain mean, a large one the last weights"
    )

    def identity(self) -> dict[str, Any]:
        """What of it decides a result, as plain values; a part of a fingerprint.

        A field that was added after the first fingerprints enters only where it is not at its
        default, so that what was trained before there was such a field stays what it is.
        """
        return decisive_fields(self, _FIRST_RECIPE_FIELDS, _FREE_RECIPE_FIELDS)

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
        resolved: dict[str, Any] = {}
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
_FREE_RECIPE_FIELDS = frozenset({"max_windows_at_once", "compile"})


def decisive_fields(
    config: BaseModel, first: frozenset[str], free: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The fields of `config` that belong in a fingerprint, as JSON values: all of `first`, none of
    `free`, of the others those that differ from their default."""
    values: Mapping[str, Any] = config.model_dump(mode="json")
    changed = config.model_dump(mode="json", exclude_defaults=True)
    return {
        name: value
        for name, value in values.items()
        if name not in free and (name in first or name in changed)
    }


# A constant rate, the average of the weights, and an end that `val` decides: docs/protocols.md says
# what was tried, docs/model.md by which experiments the numbers were found. Small batches and a
# strong decay are part of it: they are what keeps small sizes from being learnt by heart.
_CONVERGED = Recipe(
    schedule="constant",
    average="power",
    average_power=3.0,
    unseen_bytes="auto",
    max_batch_windows=2,
    batch_exponent=0.4,
    min_steps=1,
    weight_decay=0.5,
    weight_decay_exponent=-0.4,
    epochs=(FromSize(0, 200),),
)


class Protocol(BaseModel):
    """How all cells of a sweep are trained and evaluated; `val` chooses the checkpoint, `test` is
    reported.

    The default trains until the data is used up. A cell has converged when it has gone through its
    data once, in no fewer than 300 steps, and

    - the last third of its bytes has lowered the validation loss by less than `tolerance`, or
    - `patience` evaluations have gone by without a better one.

    The budget of its recipe is a safety net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrain: Recipe = _CONVERGED.model_copy(update={"epochs": (FromSize(0, 20),)})
    scratch: Recipe = _CONVERGED
    finetune: Recipe = _CONVERGED
    evaluation_growth: float = Field(
        1.2,
        ge=1,
        allow_inf_nan=False,
        description="bytes seen at an evaluation of the validation split over those at the one "
        "before; 1 spreads a fixed number of them over the budget",
    )
    evaluations: int = Field(
        8, ge=1, description="of the validation split, where their number is fixed"
    )
    tolerance: float = Field(
        0.003,
        ge=0,
        lt=1,
        description="fall of the log of the validation loss over the last third of the bytes, "
        "below which a cell has converged; 0: never by this rule",
    )
    patience: int = Field(
        4, ge=1, description="evaluations without a better one before a cell stops"
    )
    val_bytes: OptionalSize = Field(
        None,
        description="of the validation split; by default what there is, at most "
        f"{format_bytes(evaluation.VAL_BYTES)}",
    )
    test_bytes: OptionalSize = Field(
        None,
        description="of the test split; by default what there is, at most "
        f"{format_bytes(evaluation.TEST_BYTES)}",
    )
    test_stride_bytes: int | None = Field(
        None,
        ge=1,
        description="step of the window over the test split: the smaller, the more context each "
        "byte has, and the more it costs; by default half a window",
    )

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage that trains."""
        recipes = {
            Stage.PRETRAIN: self.pretrain,
            Stage.SCRATCH: self.scratch,
            Stage.FINETUNE: self.finetune,
        }
        return recipes[stage]

    @property
    def asked_val_bytes(self) -> int | None:
        """Of `val`; None where the corpus decides."""
        return None if self.val_bytes is None else self.val_bytes.num_bytes

    @property
    def asked_test_bytes(self) -> int | None:
        """Of `test`; None where the corpus decides."""
        return None if self.test_bytes is None else self.test_bytes.num_bytes

    @property
    def most_val_bytes(self) -> int:
        """What a cell reads of `val`, at most: known before a corpus is."""
        asked = self.asked_val_bytes
        return evaluation.VAL_BYTES if asked is None else asked

    @property
    def most_test_bytes(self) -> int:
        """What a cell reads of `test`, at most: known before a corpus is."""
        asked = self.asked_test_bytes
        return evaluation.TEST_BYTES if asked is None else asked

    def test_stride(self, window_bytes: int) -> int:
        """Step of the window over the test split, for a model of this window."""
        if self.test_stride_bytes is None:
            return max(1, window_bytes // 2)
        return min(self.test_stride_bytes, window_bytes)

    def num_evaluations(self, stage: Stage, size_bytes: int, trained_bytes: int) -> int:
        """Of the validation split, by a cell of this size that trains on so many bytes: one that
        starts from weights has one before its first step, and a zeroshot no other."""
        before = 1 if stage in (Stage.FINETUNE, Stage.ZEROSHOT) else 0
        if stage is Stage.ZEROSHOT:
            return before
        if self.evaluation_growth == 1:
            return before + self.evaluations
        times = max(1.0, trained_bytes / (evaluation.FIRST_SHARE * size_bytes))
        return before + 1 + math.ceil(math.log(times, self.evaluation_growth))

    def evaluated_bytes(
        self, stage: Stage, size_bytes: int, window_bytes: int, trained_bytes: int
    ) -> int:
        """Bytes forwarded in the evaluations of such a cell, the last of `test`."""
        val = forwarded_bytes(self.most_val_bytes, window_bytes)
        test = forwarded_bytes(self.most_test_bytes, window_bytes, self.test_stride(window_bytes))
        return self.num_evaluations(stage, size_bytes, trained_bytes) * val + test


# The demo's shortcuts: it has three minutes on two cores. Sources are read once, and what is chosen
# by and reported is a quarter of what text of one's own gets.
DEMO_PROTOCOL = Protocol(
    pretrain=_CONVERGED.model_copy(
        update={"epochs": (FromSize(0, 1),), "max_batch_windows": 8, "batch_exponent": 0.0}
    ),
    evaluation_growth=1.25,
    tolerance=0.01,
    patience=3,
    val_bytes=Size(8_000, "8k"),
    test_bytes=Size(32_000, "32k"),
)


def forwarded_bytes(num_bytes: int, window_bytes: int, stride_bytes: int | None = None) -> int:
    """What an evaluation of `num_bytes` costs, in bytes that go through the model.

    A window T for the first T bytes, and one more for each stride s of the rest:
    T (1 + ceil(max(0, N - T) / s)). Without a stride, s = T, that is N rounded up to windows.
    """
    stride = window_bytes if stride_bytes is None else min(stride_bytes, window_bytes)
    further = -(-max(0, num_bytes - window_bytes) // stride)
    return window_bytes * (1 + further)
