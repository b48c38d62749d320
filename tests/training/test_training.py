from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import RunError
from raydt.model.families import new_decoder
from raydt.tracking.schema import Status, Stop
from raydt.training.checkpoints.weights import load_weights, save_weights
from raydt.training.evaluate import Evaluator, bits, byte_losses, evaluate
from raydt.training.loop import Report, Splits, TrainConfig, train

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
TEN_STEPS = Recipe(budget_bytes="2560", budget_at_bytes="4k", max_batch_windows=8, min_steps=1)
# Ten steps of the demo's model, an evaluation after each: the training loss of every step, on one
# thread. A change that moves these changes what every sweep computes: then raise
# `NUMERICS_VERSION` in raydt/grid/identity.py, and write them anew.
GOLDEN_RECIPE = Recipe(budget_bytes="10240", budget_at_bytes="4k", min_steps=1, precision="float32")
GOLDEN = [
    5.54518,
    4.88977,
    3.56320,
    2.92366,
    2.37489,
    2.18312,
    2.17864,
    2.08257,
    2.03185,
    2.03450,
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits(
        generate("alba", "train", 4_000, 0),
        generate("alba", "val", 1_000, 0),
        generate("alba", "test", 2_000, 0),
    )


def test_golden_ten_steps(splits: Splits) -> None:
    reports: list[Report] = []
    config = TrainConfig(MODELS["nano"], GOLDEN_RECIPE, 4_000, evaluations=10, patience=10)
    outcome = train(config, splits, report=reports.append)
    assert [report.bytes_seen for report in reports] == [1024 * (i + 1) for i in range(10)]
    np.testing.assert_allclose([report.train_loss for report in reports], GOLDEN, rtol=2e-4)
    assert outcome.status is Status.DONE


def test_the_same_seed_is_the_same_run_and_leaves_the_callers_random_state(splits: Splits) -> None:
    config = TrainConfig(TINY, TEN_STEPS, 4_000, seed=3)
    torch.manual_seed(7)
    first = train(config, splits)
    after = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(3))
    second = train(config, splits)
    assert first.test_loss == second.test_loss
    assert all(torch.equal(first.weights[k], second.weights[k]) for k in first.weights)
    other = train(TrainConfig(TINY, TEN_STEPS, 4_000, seed=4), splits)
    assert other.test_loss != first.test_loss


def test_without_a_test_split_nothing_is_reported_and_training_is_the_same(splits: Splits) -> None:
    config = TrainConfig(TINY, TEN_STEPS, size_bytes=4_000)
    tested = train(config, splits)
    untested = train(config, Splits(splits.train, splits.val, None))
    assert tested.test_loss is not None
    assert (untested.test_loss, untested.test_loss_stderr) == (None, None)
    assert untested.best_val_loss == tested.best_val_loss


def test_steps_and_bytes_are_those_of_the_recipe(splits: Splits) -> None:
    outcome = train(TrainConfig(TINY, TEN_STEPS, 4_000, evaluations=2), splits)
    assert TEN_STEPS.num_steps(4_000, 32) == 10
    assert outcome.bytes_seen == 10 * 8 * 32
    assert outcome.stopped is Stop.BUDGET
    assert outcome.test_loss is not None
    assert 1 < outcome.test_loss < math.log(256)


def test_it_stops_when_validation_no_longer_improves(splits: Splits) -> None:
    overfit = Recipe(budget_bytes="400k", budget_at_bytes="500", final_learning_rate_fraction=1)
    config = TrainConfig(TINY, overfit, 500, evaluations=60, patience=2)
    small = Splits(splits.train[:500], splits.val, splits.test)
    reports: list[Report] = []
    outcome = train(config, small, report=reports.append)
    assert outcome.stopped is Stop.CONVERGED
    assert outcome.bytes_seen < overfit.budget(500)
    losses = [report.val_loss for report in reports]
    assert outcome.best_val_loss == min(losses) == losses[-3]
    # What is kept is the best checkpoint, not the last.
    model = new_decoder(TINY)
    model.load_state_dict(outcome.weights)
    assert evaluate(model, splits.val).loss == outcome.best_val_loss
    assert evaluate(model, splits.test).loss == outcome.test_loss


def test_a_loss_that_is_not_finite_ends_the_cell_and_says_so(splits: Splits) -> None:
    wild = Recipe(
        learning_rate=1e30,
        embedding_learning_rate=1e30,
        clip_norm=1e30,
        budget_bytes="20k",
        budget_at_bytes="4k",
    )
    outcome = train(TrainConfig(TINY, wild, 4_000), splits)
    assert outcome.status is Status.DIVERGED
    assert "not finite" in (outcome.reason or "")
    assert outcome.test_loss is None


@pytest.mark.parametrize("max_batch_windows", [1, 3])
def test_ignored_targets_leave_the_inputs_alone(splits: Splits, max_batch_windows: int) -> None:
    # 45 bytes in windows of 32: most rows have targets that do not count.
    recipe = Recipe(
        budget_bytes="2k", budget_at_bytes="45", max_batch_windows=max_batch_windows, min_steps=1
    )
    short = Splits(splits.train[:45], splits.val, splits.test)
    outcome = train(TrainConfig(TINY, recipe, 45), short)
    assert outcome.status is Status.DONE
    assert outcome.best_val_loss is not None


def test_zeroshot_trains_nothing(splits: Splits, tmp_path: Path) -> None:
    parent = train(TrainConfig(TINY, TEN_STEPS, 4_000), splits)
    save_weights(parent.weights, tmp_path / "w.safetensors")
    outcome = train(TrainConfig(TINY, None, 0), splits, initial_weights=tmp_path / "w.safetensors")
    assert outcome.stopped is Stop.EVALUATED
    assert outcome.bytes_seen == 0
    assert outcome.test_loss == parent.test_loss


def test_every_byte_is_counted_once_with_what_is_before_it(splits: Splits) -> None:
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    data = splits.test[:100]
    losses = Evaluator(precision="float32").byte_losses(model, data)
    assert losses.shape == (100,)
    # The second window of 32 by hand, and the first byte after the virtual separator.
    x = torch.from_numpy(data[31:63].astype(np.int64))[None]
    with torch.no_grad():
        logits = model(x)[0]
        y = torch.from_numpy(data[32:64].astype(np.int64))
        by_hand = torch.nn.functional.cross_entropy(logits, y, reduction="none")
        first = torch.nn.functional.cross_entropy(
            model(torch.zeros(1, 1, dtype=torch.long))[0],
            torch.tensor([int(data[0])]),
        )
    np.testing.assert_allclose(losses[32:64], by_hand.numpy(), rtol=1e-4)
    np.testing.assert_allclose(losses[0], first.item(), rtol=1e-4)
    evaluation = Evaluator(precision="float32").evaluate(model, data)
    assert evaluation.loss == pytest.approx(losses.mean())


def test_the_standard_error_is_over_documents() -> None:
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    data = generate("alba", "test", 4_000, 0)
    losses = byte_losses(model, data)
    ends = np.flatnonzero(data == 0)
    documents = [part for part in np.split(losses, ends + 1) if len(part)]
    residuals = [part.sum() - losses.mean() * len(part) for part in documents]
    m = len(documents)
    expected = math.sqrt(m / (m - 1) * sum(r * r for r in residuals)) / len(losses)
    assert evaluate(model, data).loss_stderr == pytest.approx(expected)
    assert math.isnan(evaluate(model, data[:20]).loss_stderr)


def test_weights_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(new_decoder(TINY).state_dict(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunError, match="complete safetensors file"):
        load_weights(new_decoder(TINY), path)


def test_weights_of_another_model_are_refused_by_their_first_difference(tmp_path: Path) -> None:
    save_weights(new_decoder(TINY).state_dict(), tmp_path / "w.safetensors")
    wider = TINY.model_copy(update={"hidden": 96})
    with pytest.raises(
        RunError, match=r"feed_forward_in\.weight: expected shape \(96, 32\), got \(64, 32\)"
    ):
        load_weights(new_decoder(wider), tmp_path / "w.safetensors")


def test_bits() -> None:
    assert bits(math.log(256)) == pytest.approx(8)
