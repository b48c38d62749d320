"""Rows of bytes that a cell never sees stay as they are, and what that is good for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.model.alphabet import EVERY_BYTE, Alphabet
from raydt.model.families import new_decoder
from raydt.training.checkpoints.folder import CheckpointFolder
from raydt.training.checkpoints.weights import load_weights, save_weights
from raydt.training.loop import Outcome, Splits, TrainConfig, train

OWN = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
PAPER = ModelConfig(**OWN.model_dump() | {"family": "paper", "conv_bytes": 1})
both_families = pytest.mark.parametrize("model", [OWN, PAPER], ids=["default", "paper"])
ESCAPE = Recipe(
    budget_bytes="2560",
    budget_at_bytes="4k",
    max_batch_windows=8,
    min_steps=1,
    weight_decay=1.0,
    unseen_bytes="escape",
)
LATIN, OTHER = ord("a"), 0xC0


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def script(first: int, num_bytes: int, seed: int) -> NDArray[np.uint8]:
    """Sixteen letters from `first` on, each followed by one of two: the same language, in any
    script."""
    steps = np.random.default_rng(seed).integers(0, 2, num_bytes)
    letters = [0]
    for step in steps[1:]:
        letters.append((5 * letters[-1] + 3 + 4 * int(step)) % 16)
    return np.array(letters, dtype=np.uint8) + np.uint8(first)


def splits_of(first: int, num_bytes: int = 4_000) -> Splits:
    return Splits(script(first, num_bytes, 1), script(first, 1_000, 2), script(first, 2_000, 3))


def unseen_rows(weights: dict[str, torch.Tensor], seen: set[int]) -> list[torch.Tensor]:
    unseen = sorted(set(range(256)) - seen)
    return [
        weights[name][unseen] for name in ("embedding.weight", "head.weight") if name in weights
    ]


@both_families
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_rows_of_unseen_bytes_do_not_move(model: ModelConfig, optimizer: str) -> None:
    recipe = ESCAPE.model_copy(update={"optimizer": optimizer})
    outcome = train(TrainConfig(model, recipe, 4_000, seed=5), splits_of(LATIN))
    torch.manual_seed(5)
    fresh = new_decoder(model).state_dict()
    seen = {0, *range(LATIN, LATIN + 16)}
    assert outcome.alphabet == Alphabet(frozenset(seen), 1 / 4_002)
    for ours, theirs in zip(
        unseen_rows(outcome.weights, seen), unseen_rows(fresh, seen), strict=True
    ):
        assert torch.equal(ours, theirs)
    moved = outcome.weights["embedding.weight"] - fresh["embedding.weight"]
    assert moved[sorted(seen - {0})].abs().min() > 0
    # As it is by default, all of them move.
    pushed = train(
        TrainConfig(model, recipe.model_copy(update={"unseen_bytes": "train"}), 4_000, seed=5),
        splits_of(LATIN),
    )
    assert unseen_rows(pushed.weights, seen)[-1].sub(unseen_rows(fresh, seen)[-1]).abs().min() > 0


@both_families
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_finetune_that_is_cut_off_ends_with_the_same_bits(
    model: ModelConfig, optimizer: str, tmp_path: Path
) -> None:
    recipe = ESCAPE.model_copy(update={"optimizer": optimizer})
    start = tmp_path / "start.safetensors"
    source = train(TrainConfig(model, recipe, 4_000), splits_of(LATIN))
    save_weights(source.weights, start, source.alphabet)

    def finetune(checkpoints: CheckpointFolder | None) -> Outcome:
        return train(
            TrainConfig(model, recipe, 4_000),
            splits_of(OTHER),
            initial_weights=start,
            checkpoints=checkpoints,
        )

    whole = finetune(None)
    finetune(CheckpointFolder(tmp_path / "c", every_steps=3))
    for path in (tmp_path / "c").glob("step-000000009.*"):
        path.unlink()
    again = finetune(CheckpointFolder(tmp_path / "c", every_steps=3))
    assert (again.test_loss, again.alphabet) == (whole.test_loss, whole.alphabet)
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)
    both = {0, *range(LATIN, LATIN + 16), *range(OTHER, OTHER + 16)}
    assert whole.alphabet is not None
    assert whole.alphabet.seen == both
    untouched = unseen_rows(load_file(start), both)
    for ours, theirs in zip(unseen_rows(whole.weights, both), untouched, strict=True):
        assert torch.equal(ours, theirs)


def test_the_alphabet_travels_with_the_weights(tmp_path: Path) -> None:
    config = TrainConfig(OWN, ESCAPE, 4_000)
    start = tmp_path / "start.safetensors"
    source = train(config, splits_of(LATIN))
    save_weights(source.weights, start, source.alphabet)
    assert load_weights(new_decoder(OWN), start) == source.alphabet
    assert source.unseen_share is None
    # A zero-shot is what its weights were, the escape included: the source's own test is as it was.
    zeroshot = train(TrainConfig(OWN, None, 0), splits_of(LATIN), initial_weights=start)
    assert (zeroshot.test_loss, zeroshot.unseen_share) == (source.test_loss, 0.0)
    assert source.alphabet is not None
    assert source.alphabet.escape is not None
    other = train(TrainConfig(OWN, None, 0), splits_of(OTHER), initial_weights=start)
    expected = -np.log(source.alphabet.escape / (256 - 17))
    assert other.test_loss == pytest.approx(expected, rel=1e-5)
    assert other.unseen_share == 1.0


def test_weights_without_a_record_may_have_seen_anything(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    save_file(new_decoder(OWN).state_dict(), start)
    outcome = train(TrainConfig(OWN, ESCAPE, 4_000), splits_of(OTHER), initial_weights=start)
    assert outcome.alphabet == EVERY_BYTE
    assert outcome.unseen_share is None


def test_a_share_is_known_where_nothing_is_treated(tmp_path: Path) -> None:
    recipe = ESCAPE.model_copy(update={"unseen_bytes": "train"})
    source = train(TrainConfig(OWN, recipe, 4_000), splits_of(LATIN))
    save_weights(source.weights, tmp_path / "start.safetensors", source.alphabet)
    half = splits_of(LATIN + 8)
    outcome = train(
        TrainConfig(OWN, recipe, 4_000), half, initial_weights=tmp_path / "start.safetensors"
    )
    assert half.test is not None
    assert outcome.unseen_share == pytest.approx(float((half.test >= LATIN + 16).mean()))


@both_families
def test_finetuning_on_another_script_no_longer_starts_from_rows_that_drifted(
    model: ModelConfig, tmp_path: Path
) -> None:
    """Planted: the language is the same, and only its letters are others."""
    losses = {}
    for unseen_bytes in ("train", "escape"):
        pretrain = Recipe(
            epochs="20",
            optimizer="adamw",
            learning_rate=4e-3,
            min_steps=1,
            unseen_bytes=unseen_bytes,
        )
        finetune = pretrain.model_copy(update={"learning_rate": 1e-3})
        start = tmp_path / f"{unseen_bytes}.safetensors"
        source = train(TrainConfig(model, pretrain, 8_000, patience=8), splits_of(LATIN, 8_000))
        save_weights(source.weights, start, source.alphabet)
        target = train(
            TrainConfig(model, finetune, 1_000, patience=8),
            splits_of(OTHER, 1_000),
            initial_weights=start,
        )
        assert target.test_loss is not None
        losses[unseen_bytes] = target.test_loss
    assert losses["escape"] < 0.8 * losses["train"]


@both_families
def test_auto_escapes_where_the_embedding_is_tied(model: ModelConfig) -> None:
    recipe = ESCAPE.model_copy(update={"unseen_bytes": "auto"})
    outcome = train(TrainConfig(model, recipe, 4_000), splits_of(LATIN))
    assert outcome.alphabet is not None
    assert (outcome.alphabet.escape is not None) == (model.family == "paper")
