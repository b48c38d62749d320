"""What cannot be trained is refused before the first step; what goes wrong later ends cleanly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import InputError, RunError
from raydt.tracking.schema import Status
from raydt.training.checkpoints.folder import CheckpointFolder
from raydt.training.checkpoints.weights import save_weights
from raydt.training.evaluate import Evaluator
from raydt.training.loop import Report, Splits, TrainConfig, train

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
TEN_STEPS = Recipe(budget_bytes="2560", budget_at_bytes="4k", max_batch_windows=8, min_steps=1)
NONE = np.zeros(0, np.uint8)


@pytest.fixture(scope="module")
def splits() -> Splits:
    torch.set_num_threads(1)
    return Splits(*(generate("alba", split, 4_000, 0) for split in ("train", "val", "test")))


def test_a_size_below_one_window(splits: Splits) -> None:
    small = Splits(splits.train[:31], splits.val, splits.test)
    with pytest.raises(
        InputError, match=r"size: expected at least one window.*32 bytes.*, got 31 bytes"
    ):
        train(TrainConfig(TINY, TEN_STEPS, 31), small)


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        (Recipe(budget_bytes=0), "budget_bytes"),
        (Recipe(epochs=0), "epochs"),
        (Recipe(epochs=0.0001), "epochs"),
    ],
)
def test_zero_steps(recipe: Recipe, what: str, splits: Splits) -> None:
    with pytest.raises(
        InputError, match=f"{what}: expected enough for one step.*less than one step"
    ):
        train(TrainConfig(TINY, recipe, 4_000), splits)


def test_all_problems_at_once(splits: Splits) -> None:
    config = TrainConfig(TINY, TEN_STEPS, 5_000, evaluations=0, patience=0)
    with pytest.raises(InputError) as caught:
        train(config, Splits(splits.train, NONE, NONE))
    assert [problem.what for problem in caught.value.problems] == [
        "evaluations",
        "patience",
        "val split",
        "test split",
        "train split",
    ]


def test_a_cell_that_diverges_keeps_its_last_good_checkpoint(
    splits: Splits, tmp_path: Path
) -> None:
    recipe = Recipe(budget_bytes="25600", budget_at_bytes="4k", min_steps=1)
    config = TrainConfig(TINY, recipe, 4_000, evaluations=20, patience=20)
    checkpoints = CheckpointFolder(tmp_path / "c", every_steps=4)
    reports: list[Report] = []

    def poison(report: Report) -> None:
        reports.append(report)
        if len(reports) == 3:  # after 15 steps: an overflow, as it comes about: in a weight
            model = next(m for m in _models if m.config is TINY)
            with torch.no_grad():
                model.head.weight[0, 0] = float("inf")

    outcome = train_with_model(config, splits, poison, checkpoints)
    assert outcome.status is Status.DIVERGED
    assert outcome.reason is not None
    assert "not finite by step 16 of 100" in outcome.reason
    assert outcome.test_loss is None
    assert outcome.weights
    assert all(tensor.isfinite().all() for tensor in outcome.weights.values())
    newest = checkpoints.newest(config.facts())
    assert newest is not None
    assert newest.step == 12
    assert all(tensor.isfinite().all() for tensor in newest.tensors.values())


_models: list = []


def train_with_model(config, splits, report, checkpoints):
    """`train`, with its model put where the test can reach it."""
    from raydt.training import loop

    real = loop.new_decoder

    def make(model_config: ModelConfig):
        _models.append(real(model_config))
        return _models[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "new_decoder", make)
        return train(config, splits, report=report, checkpoints=checkpoints)


def test_a_finetune_that_only_hurts_keeps_what_it_started_from(
    splits: Splits, tmp_path: Path
) -> None:
    start = tmp_path / "w.safetensors"
    save_weights(train(TrainConfig(TINY, TEN_STEPS, 4_000), splits).weights, start)
    zeroshot = train(TrainConfig(TINY, None, 0), splits, initial_weights=start)
    noise = np.random.default_rng(0).integers(1, 256, 4_000, dtype=np.uint8)
    reports: list[Report] = []
    hurt = train(
        TrainConfig(TINY, TEN_STEPS, 4_000, evaluations=5, patience=5),
        Splits(noise, splits.val, splits.test),
        initial_weights=start,
        report=reports.append,
    )
    assert [report.bytes_seen for report in reports] == [0, 512, 1024, 1536, 2048, 2560]
    assert (reports[0].train_loss, reports[0].val_loss) == (None, zeroshot.best_val_loss)
    assert (hurt.best_bytes_seen, hurt.test_loss) == (0, zeroshot.test_loss)
    # To stay behind the start is no reason to stop: patience is of what training brings.
    assert hurt.bytes_seen == 2560


def test_a_finetune_that_helps_is_what_it_was_without_the_look_at_its_start(
    splits: Splits, tmp_path: Path
) -> None:
    start = tmp_path / "w.safetensors"
    save_weights(train(TrainConfig(TINY, TEN_STEPS, 4_000), splits).weights, start)
    reports: list[Report] = []
    outcome = train(
        TrainConfig(TINY, TEN_STEPS, 4_000, evaluations=5),
        splits,
        initial_weights=start,
        report=reports.append,
    )
    assert outcome.best_bytes_seen == reports[-1].bytes_seen == 2560
    assert min(report.val_loss for report in reports) == outcome.best_val_loss


def test_memory_that_is_short_outside_of_a_step_is_said(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_fits(self: Evaluator, *_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has")

    monkeypatch.setattr(Evaluator, "_losses", nothing_fits)
    with pytest.raises(RunError, match=r"ran out of memory.*CUDA out of memory; use fewer cells"):
        train(TrainConfig(TINY, TEN_STEPS, 4_000), splits)
