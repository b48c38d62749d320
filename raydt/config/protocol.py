"""How cells are trained and evaluated: the part of a sweep that decides its results."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from raydt.config import evaluation
from raydt.config.by_size import FromSize
from raydt.config.recipe import Recipe
from raydt.config.size_field import OptionalSize
from raydt.tracking.schema import Stage
from raydt.units import Size, format_bytes

# A constant learning rate, averaged weights, and a stop decided by `val`. docs/protocols.md
# compares the alternatives, docs/model.md has the experiments behind the numbers. Small batches and
# a strong weight decay keep small sizes from being memorised.
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


# The stages with a recipe.
RECIPES = ("pretrain", "scratch", "finetune")


class Protocol(BaseModel):
    """How all cells of a sweep are trained and evaluated. `val` chooses the checkpoint, `test` is
    reported.

    By default a cell is trained until it has converged: it has seen its data once, in at least 300
    steps, and

    - the last third of its bytes lowered the log validation loss by less than `tolerance`, or
    - the last `patience` evaluations brought no improvement.

    The budget of its recipe is a safety net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pretrain: Recipe = _CONVERGED.model_copy(update={"epochs": (FromSize(0, 20),)})
    scratch: Recipe = _CONVERGED
    finetune: Recipe = _CONVERGED
    evaluation_growth: float = Field(
        1.2,
        ge=1,
        description="factor by which the bytes seen grow from one evaluation to the next; 1: a "
        "fixed number of evaluations, evenly spaced",
    )
    evaluations: int = Field(
        8, ge=1, description="number of evaluations of a cell, if --evaluation-growth is 1"
    )
    tolerance: float = Field(
        0.003,
        ge=0,
        lt=1,
        description="stop a cell when the last third of its bytes lowered the log of the "
        "validation loss by less than this; 0: never stop by this rule",
    )
    patience: int = Field(
        4, ge=1, description="stop a cell after this many evaluations without improvement"
    )
    val_bytes: OptionalSize = Field(
        None,
        description="bytes of the validation split, which chooses the checkpoint; auto: all of it, "
        f"at most {format_bytes(evaluation.VAL_BYTES)}",
    )
    test_bytes: OptionalSize = Field(
        None,
        description="bytes of the test split, whose loss is reported; auto: all of it, at most "
        f"{format_bytes(evaluation.TEST_BYTES)}",
    )
    test_stride_bytes: int | None = Field(
        None,
        ge=1,
        description="stride of the window over the test split; a smaller one gives each byte more "
        "context and costs more [half a window]",
    )

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage that trains. Joint cells start from scratch and use its recipe."""
        recipes = {
            Stage.PRETRAIN: self.pretrain,
            Stage.SCRATCH: self.scratch,
            Stage.FINETUNE: self.finetune,
            Stage.JOINT: self.scratch,
        }
        return recipes[stage]

    @property
    def asked_val_bytes(self) -> int | None:
        """The declared bytes of `val`; None if the corpus decides."""
        return None if self.val_bytes is None else self.val_bytes.num_bytes

    @property
    def asked_test_bytes(self) -> int | None:
        """The declared bytes of `test`; None if the corpus decides."""
        return None if self.test_bytes is None else self.test_bytes.num_bytes

    @property
    def most_val_bytes(self) -> int:
        """Maximum number of bytes of `val` that a cell reads; known before the corpus is."""
        asked = self.asked_val_bytes
        return evaluation.VAL_BYTES if asked is None else asked

    @property
    def most_test_bytes(self) -> int:
        """Maximum number of bytes of `test` that a cell reads; known before the corpus is."""
        asked = self.asked_test_bytes
        return evaluation.TEST_BYTES if asked is None else asked

    def test_stride(self, window_bytes: int) -> int:
        """Stride of the window over the test split, for a model with this window."""
        if self.test_stride_bytes is None:
            return max(1, window_bytes // 2)
        return min(self.test_stride_bytes, window_bytes)

    def num_evaluations(self, stage: Stage, size_bytes: int, trained_bytes: int) -> int:
        """Number of evaluations on `val` of a cell of this size that trains on `trained_bytes`. A
        cell that starts from weights is also evaluated before its first step; a zeroshot only then.
        """
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
        """Bytes that go through the model in all evaluations of such a cell, including `test`."""
        val = forwarded_bytes(self.most_val_bytes, window_bytes)
        evaluations = self.num_evaluations(stage, size_bytes, trained_bytes)
        return evaluations * val + self.tested_bytes(window_bytes)

    def tested_bytes(self, window_bytes: int) -> int:
        """Bytes forwarded in one evaluation of a test split."""
        return forwarded_bytes(self.most_test_bytes, window_bytes, self.test_stride(window_bytes))


# The demo's shortcuts, to finish in three minutes on two cores: one epoch of pretraining, and a
# quarter of the default bytes for evaluation.
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
    """Cost of an evaluation of `num_bytes`, in bytes that go through the model.

    A window T for the first T bytes, and one more for each stride s of the rest:
    T (1 + ceil(max(0, N - T) / s)). Without a stride, s = T: N rounded up to whole windows.
    """
    stride = window_bytes if stride_bytes is None else min(stride_bytes, window_bytes)
    further = -(-max(0, num_bytes - window_bytes) // stride)
    return window_bytes * (1 + further)
