"""How cells are trained: the part of a sweep that its numbers depend on."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from raydt.config import evaluation
from raydt.config.by_size import FromSize
from raydt.config.recipe import Recipe
from raydt.config.size_field import OptionalSize
from raydt.tracking.schema import Stage
from raydt.units import Size, format_bytes

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


# The stages that train, by the names of their recipes.
RECIPES = ("pretrain", "scratch", "finetune")


class Protocol(BaseModel):
    """How all cells of a sweep are trained and evaluated; `val` chooses the checkpoint, `test` is
    reported.

    The default trains until the data is used up. A cell has converged when it has gone through its
    data once, in no fewer than 300 steps, and

    - the last third of its bytes has lowered the validation loss by less than `tolerance`, or
    - `patience` evaluations have gone by without a better one.

    The budget of its recipe is a safety net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pretrain: Recipe = _CONVERGED.model_copy(update={"epochs": (FromSize(0, 20),)})
    scratch: Recipe = _CONVERGED
    finetune: Recipe = _CONVERGED
    evaluation_growth: float = Field(
        1.2,
        ge=1,
        description="ratio of the bytes seen at one evaluation to those at the one before; 1: a "
        "fixed number of evaluations, evenly spread",
    )
    evaluations: int = Field(
        8, ge=1, description="number of evaluations, where it is fixed (evaluation growth 1)"
    )
    tolerance: float = Field(
        0.003,
        ge=0,
        lt=1,
        description="a cell has converged when the last third of its bytes lowers the log of the "
        "validation loss by less than this; 0: never by this rule",
    )
    patience: int = Field(
        4, ge=1, description="stop a cell after this many evaluations without improvement"
    )
    val_bytes: OptionalSize = Field(
        None,
        description="bytes of the validation split that choose a checkpoint; auto: what there is, "
        f"at most {format_bytes(evaluation.VAL_BYTES)}",
    )
    test_bytes: OptionalSize = Field(
        None,
        description="bytes of the test split that are reported on; auto: what there is, at most "
        f"{format_bytes(evaluation.TEST_BYTES)}",
    )
    test_stride_bytes: int | None = Field(
        None,
        ge=1,
        description="step of the window over the test split: the smaller, the more context each "
        "byte has, and the more it costs [half a window]",
    )

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage that trains; joint cells start from scratch, and have its."""
        recipes = {
            Stage.PRETRAIN: self.pretrain,
            Stage.SCRATCH: self.scratch,
            Stage.FINETUNE: self.finetune,
            Stage.JOINT: self.scratch,
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
        evaluations = self.num_evaluations(stage, size_bytes, trained_bytes)
        return evaluations * val + self.tested_bytes(window_bytes)

    def tested_bytes(self, window_bytes: int) -> int:
        """Bytes forwarded in one evaluation of a test split."""
        return forwarded_bytes(self.most_test_bytes, window_bytes, self.test_stride(window_bytes))


# The demo's shortcuts: it has three minutes on two cores. Sources are read once, and what is chosen
# by and reported is a quarter of what text of one's own gets.
DEMO_PROTOCOL = Protocol(
    pretrain=_CONVERGED.model_copy(
        update={"epochs": (FromSize(0, 1),), "max_batch_windows": 4, "batch_exponent": 0.0}
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
