"""What is forgotten is the loss of the weights that count, on the text of before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import InputError
from raydt.model.families import new_decoder
from raydt.tracking.schema import Status
from raydt.training.checkpoints.weights import load_weights, save_weights
from raydt.training.evaluate import Evaluator
from raydt.training.loop import Outcome, Splits, TrainConfig, train

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
STEPS = Recipe(budget_bytes="12800", budget_at_bytes="4k", max_batch_windows=8, min_steps=1)
CONFIG = TrainConfig(TINY, STEPS, 4_000, evaluations=5, patience=5, test_stride_bytes=16)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def splits_of(language: str) -> Splits:
    return Splits(*(generate(language, split, 4_000, 0) for split in ("train", "val", "test")))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    torch.set_num_threads(1)
    outcome = train(CONFIG, splits_of("nonsense"))
    path = tmp_path_factory.mktemp("source") / "weights.safetensors"
    save_weights(outcome.weights, path, outcome.alphabet)
    return outcome, path


def test_a_finetune_is_tested_on_its_source_by_the_weights_that_it_ends_with(
    source: tuple[Outcome, Path], tmp_path: Path
) -> None:
    before, weights = source
    target, test = splits_of("alba"), splits_of("nonsense").test
    tested = train(CONFIG, replace(target, source_test=test), initial_weights=weights)
    save_weights(tested.weights, tmp_path / "w.safetensors", tested.alphabet)
    model = new_decoder(TINY)
    load_weights(model, tmp_path / "w.safetensors")
    model.restrict(tested.alphabet)
    by_hand = Evaluator(stride_bytes=16).evaluate(model, test)
    assert tested.source_loss == by_hand.loss
    assert tested.source_loss > before.test_loss
    assert before.source_loss is None
    # It is looked at and not trained on: without it the same weights come out.
    without = train(CONFIG, target, initial_weights=weights)
    assert without.source_loss is None
    assert without.test_loss == tested.test_loss
    assert all(torch.equal(without.weights[name], tested.weights[name]) for name in tested.weights)


def test_who_keeps_the_weights_that_it_starts_from_has_forgotten_nothing(
    source: tuple[Outcome, Path],
) -> None:
    before, weights = source
    harmful = replace(CONFIG, recipe=STEPS.model_copy(update={"learning_rate": 3.0}))
    same = splits_of("nonsense")
    again = train(harmful, replace(same, source_test=same.test), initial_weights=weights)
    assert again.best_bytes_seen == 0
    assert again.source_loss == before.test_loss == again.test_loss


def test_who_diverges_has_no_number(source: tuple[Outcome, Path]) -> None:
    _, weights = source
    wild = replace(CONFIG, recipe=STEPS.model_copy(update={"learning_rate": 1e30}))
    test = splits_of("nonsense").test
    ended = train(wild, replace(splits_of("alba"), source_test=test), initial_weights=weights)
    assert ended.status is Status.DIVERGED
    assert ended.source_loss is None


def test_a_source_without_a_test_is_named() -> None:
    empty = replace(splits_of("alba"), source_test=splits_of("alba").test[:0])
    with pytest.raises(InputError, match="source's test split: expected at least one byte"):
        train(CONFIG, empty)
