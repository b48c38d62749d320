"""How cells are trained: the part of a sweep that its numbers depend on."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

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


class Recipe(BaseModel):
    """How the cells of one stage are trained.

    The budget grows with the data by a power: `budget_bytes` at `budget_at_bytes` of data, and
    `budget_exponent` more or less as steep. An exponent of 1 is a fixed number of epochs, 0 a
    fixed number of bytes; between them small sizes get many epochs, which they need to be limited
    by their data and not by their steps. The batch follows: as large as `max_batch_windows`, but
    small enough for `min_steps` steps.
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
    budget_bytes: SizeField = Field(Size(60_000, "60k"), description="bytes seen at most, at")
    budget_at_bytes: SizeField = Field(Size(2_000, "2k"), description="this size")
    budget_exponent: float = Field(0.4, ge=0, le=1, description="growth of the budget with size")
    max_batch_windows: int = Field(8, ge=1, description="windows a step at most")
    min_steps: int = Field(50, ge=1, description="smaller batches rather than fewer steps")

    def budget(self, size_bytes: int) -> int:
        """Bytes a cell of `size_bytes` may see."""
        ratio = size_bytes / self.budget_at_bytes.num_bytes
        return round(self.budget_bytes.num_bytes * math.pow(ratio, self.budget_exponent))

    def batch_windows(self, size_bytes: int, window_bytes: int) -> int:
        """Windows a step."""
        fitting = self.budget(size_bytes) // (self.min_steps * window_bytes)
        return max(1, min(self.max_batch_windows, fitting))

    def num_steps(self, size_bytes: int, window_bytes: int) -> int:
        """Steps that use up the budget, at least one."""
        per_step = self.batch_windows(size_bytes, window_bytes) * window_bytes
        return max(1, math.ceil(self.budget(size_bytes) / per_step))


class Protocol(BaseModel):
    """The `matched` protocol: a budget that grows with size, early stopping, `val` chooses the
    checkpoint and `test` is reported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrain: Recipe = Recipe(
        budget_bytes=Size(800_000, "800k"), budget_at_bytes=Size(800_000, "800k")
    )
    scratch: Recipe = Recipe()
    finetune: Recipe = Recipe()
    evaluations: int = Field(8, ge=1, description="of the validation split, spread over a cell")
    patience: int = Field(
        3, ge=1, description="evaluations without a better one before a cell stops"
    )
    val_bytes: SizeField = Field(Size(8_000, "8k"), description="of the validation split")
    test_bytes: SizeField = Field(Size(32_000, "32k"), description="of the test split")

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage that trains."""
        recipes = {
            Stage.PRETRAIN: self.pretrain,
            Stage.SCRATCH: self.scratch,
            Stage.FINETUNE: self.finetune,
        }
        return recipes[stage]
