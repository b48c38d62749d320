"""The published protocol, as sweeps/paper.toml declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.tracking.schema import Stage
from tests.sweep_words import read

# True bytes, epochs, steps an epoch of 512 windows of 1024 bytes, steps of warm-up.
PUBLISHED = [
    (6_815_744, 10, 13, 0),
    (19_398_656, 10, 37, 0),
    (60_817_408, 10, 116, 30),
    (189_267_968, 10, 361, 100),
    (600_834_048, 10, 1_146, 300),
    (6_001_000_448, 3, 11_446, 3_000),
]


@pytest.fixture(scope="module")
def paper() -> Sweep:
    return read("--sweep", str(Path(__file__).parents[2] / "sweeps" / "paper.toml"))


@pytest.mark.parametrize("stage", ["pretrain", "scratch", "finetune"])
@pytest.mark.parametrize(("size", "epochs", "steps_an_epoch", "warmup"), PUBLISHED)
def test_steps_are_exact(
    paper: Sweep, stage: str, size: int, epochs: int, steps_an_epoch: int, warmup: int
) -> None:
    recipe: Recipe = getattr(paper.protocol, stage)
    assert recipe.batch_windows(size, 1024) == 512
    assert recipe.num_steps(size, 1024) == epochs * steps_an_epoch
    assert recipe.budget(size) == epochs * size == epochs * steps_an_epoch * 512 * 1024
    at_size = recipe.for_size(size)
    assert at_size.warmup_steps == warmup <= recipe.num_steps(size, 1024) // 10
    assert at_size.num_steps(size, 1024) == recipe.num_steps(size, 1024)


def test_sizes_and_rates_are_the_published(paper: Sweep) -> None:
    assert [size.num_bytes for size in paper.sizes] == [size for size, _, _, _ in PUBLISHED]
    protocol = paper.protocol
    unused = {"budget_bytes", "budget_at_bytes"}  # where there are epochs
    assert protocol.pretrain.model_dump(exclude=unused) == protocol.scratch.model_dump(
        exclude=unused
    )
    for recipe in (protocol.scratch, protocol.finetune):
        assert (recipe.optimizer, recipe.beta1, recipe.beta2) == ("adamw", 0.9, 0.95)
        assert (recipe.weight_decay, recipe.clip_norm, recipe.z_loss) == (0.1, 1.0, 1e-4)
    assert protocol.scratch.schedule == "cosine"
    assert protocol.scratch.learning_rate == 2e-4
    final = protocol.scratch.learning_rate * protocol.scratch.final_learning_rate_fraction
    assert final == pytest.approx(2e-5)
    assert (protocol.finetune.schedule, protocol.finetune.learning_rate) == ("constant", 2e-5)


def test_a_table_by_size_is_written_as_it_is_read() -> None:
    recipe = Recipe(epochs=["6G=3", 10])
    assert recipe.model_dump(mode="json")["epochs"] == ["0=10", "6G=3"]
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert recipe.budget(1_000) == 10_000
    assert recipe.budget(6_000_000_000) == 18_000_000_000
    assert Recipe(epochs=2.5).budget(1_000) == 2_500


@pytest.mark.parametrize("table", ["ten", "6M=", "x=3", "6M=-1", "6M=inf", ["0=1", "0=2"]])
def test_a_table_that_is_none_is_refused(table: object) -> None:
    with pytest.raises(ValueError, match=r"SIZE=NUMBER|at least 0|size once"):
        Recipe(epochs=table)


def test_an_evaluation_costs_whole_windows() -> None:
    protocol = Protocol(
        val_bytes="1000", test_bytes="2000", test_stride_bytes=32, evaluation_growth=1
    )
    test = (1 + 59) * 128
    assert protocol.evaluated_bytes(Stage.ZEROSHOT, 0, 128, 0) == 8 * 128 + test
    assert protocol.evaluated_bytes(Stage.SCRATCH, 2_000, 128, 9_000) == 8 * 8 * 128 + test
    assert protocol.evaluated_bytes(Stage.FINETUNE, 2_000, 128, 9_000) == 9 * 8 * 128 + test


def test_evaluations_that_grow_apart_are_counted_from_half_of_the_data_on() -> None:
    protocol = Protocol(evaluation_growth=2)
    assert protocol.num_evaluations(Stage.SCRATCH, 1_000, 500) == 1
    assert protocol.num_evaluations(Stage.SCRATCH, 1_000, 4_000) == 4  # at .5, 1, 2 and 4 epochs
    assert protocol.num_evaluations(Stage.FINETUNE, 1_000, 4_000) == 5


def test_windows_over_the_test_split_overlap_by_half_unless_told_otherwise() -> None:
    assert Protocol().test_stride(128) == 64
    assert Protocol(test_stride_bytes=16).test_stride(128) == 16
    assert Protocol(test_stride_bytes=1024).test_stride(128) == 128
