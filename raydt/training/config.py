"""The inputs of `train`: a cell's config and its bytes, checked at the boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydt.config.model import ModelConfig
from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.errors import InputError, Problem
from raydt.tracking.schema import Stage
from raydt.training.precision import Precision


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a cell's result, besides its data and its initial weights."""

    model: ModelConfig
    recipe: Recipe | None  # None: only evaluate, in `precision`
    size_bytes: int
    seed: int = 0
    evaluation_growth: float = 1.0  # see `raydt.config.protocol.Protocol`; 1: evenly spaced
    evaluations: int = 8
    tolerance: float = 0.0
    patience: int = 3
    test_stride_bytes: int | None = None  # None: a whole window
    precision: Precision = "auto"  # used without a recipe; a recipe has its own

    @classmethod
    def of(
        cls, protocol: Protocol, stage: Stage, model: ModelConfig, size_bytes: int, seed: int = 0
    ) -> TrainConfig:
        """The config of a cell of a sweep."""
        return cls(
            model,
            None if stage is Stage.ZEROSHOT else protocol.recipe(stage),
            size_bytes,
            seed,
            protocol.evaluation_growth,
            protocol.evaluations,
            protocol.tolerance,
            protocol.patience,
            protocol.test_stride(model.window_bytes),
            protocol.pretrain.precision,  # a zeroshot is evaluated like the pretrain it evaluates
        )

    def facts(self) -> dict[str, object]:
        """The values by dotted name, which a checkpoint stores: `differences` compares them when a
        cell resumes."""
        model = {f"model.{k}": v for k, v in self.model.model_dump(mode="json").items()}
        recipe = {} if self.recipe is None else self.recipe.identity()
        return {
            **model,
            **{f"recipe.{name}": value for name, value in recipe.items()},
            "size_bytes": self.size_bytes,
            "seed": self.seed,
            "evaluation_growth": self.evaluation_growth,
            "evaluations": self.evaluations,
            "tolerance": self.tolerance,
            "patience": self.patience,
        }


@dataclass(frozen=True)
class Splits:
    """Bytes to train on, to choose the checkpoint with, and to report; each (n,) uint8.

    Without a `test` nothing is tested: a search that chooses hyperparameters must not see it.
    `source_test` is the `test` of the cell whose weights this one starts from; the loss on it shows
    what was forgotten.
    """

    train: NDArray[np.uint8]
    val: NDArray[np.uint8]
    test: NDArray[np.uint8] | None
    source_test: NDArray[np.uint8] | None = None


def check(config: TrainConfig, splits: Splits, num_ranks: int) -> None:
    """Raises one `InputError` with every reason why `config` cannot be trained on `splits`."""
    problems = [
        Problem(name, "at least 1", str(value))
        for name, value in (("evaluations", config.evaluations), ("patience", config.patience))
        if value < 1
    ]
    problems += [
        Problem(f"{name} split", "at least one byte", "none")
        for name, data in (
            ("val", splits.val),
            ("test", splits.test),
            ("source's test", splits.source_test),
        )
        if data is not None and len(data) == 0
    ]
    if config.recipe is not None:
        problems += _cannot_train(config, config.recipe, splits, num_ranks)
    if problems:
        raise InputError(problems)


def _cannot_train(
    config: TrainConfig, recipe: Recipe, splits: Splits, num_ranks: int
) -> list[Problem]:
    window_bytes, size_bytes = config.model.window_bytes, config.size_bytes
    if size_bytes < window_bytes:
        requirement = f"at least one window of the model ({window_bytes} bytes)"
        return [Problem("size", requirement, f"{size_bytes} bytes")]
    problems = []
    if len(splits.train) != size_bytes:
        requirement = f"the {size_bytes} bytes of the cell's size"
        problems.append(Problem("train split", requirement, f"{len(splits.train)} bytes"))
    if recipe.budget(size_bytes) < 1:
        what = "epochs" if recipe.epochs else "budget_bytes"
        requirement = f"enough for one step of {window_bytes} bytes"
        problems.append(Problem(what, requirement, "less than one step"))
        return problems
    batch_windows = recipe.batch_windows(size_bytes, window_bytes)
    if batch_windows % num_ranks:
        fitting = batch_windows - batch_windows % num_ranks
        requirement = f"a multiple of the {num_ranks} ranks, such as {fitting or num_ranks}"
        problems.append(Problem("windows per batch", requirement, str(batch_windows)))
    return problems


def differences(stored: Mapping[str, object], current: Mapping[str, object]) -> list[Problem]:
    """One problem for each value of a checkpoint that differs from the cell's."""
    return [
        Problem(
            f"checkpoint: {name}", f"{current.get(name)!r}, as in the cell", repr(stored.get(name))
        )
        for name in sorted(stored.keys() | current.keys())
        if stored.get(name) != current.get(name)
    ]
