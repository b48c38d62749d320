"""The average of the weights: its formula, and that a cell is evaluated and kept by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import RunError
from raydt.model.families import new_decoder
from raydt.training.average import WeightAverage
from raydt.training.evaluate import evaluate
from raydt.training.loop import Splits, TrainConfig, train

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
CONSTANT = Recipe(schedule="constant", epochs=4, max_batch_windows=2, min_steps=1)


def averaged(power: float, values: list[float]) -> float:
    model = new_decoder(TINY)
    average = WeightAverage(model, power)
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        average.update(step)
    found = torch.cat([p.detach().flatten() for p in average.model.parameters()])
    assert found.std() == pytest.approx(0, abs=1e-6)
    return found.mean().item()


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 8.0])
def test_a_step_weighs_as_its_power(power: float) -> None:
    values = np.random.default_rng(0).random(200)
    # beta_t of Karras et al. integrates s^power from s - 1 to s.
    edges = np.arange(201.0) ** (power + 1)
    expected = np.average(values, weights=np.diff(edges))
    assert averaged(power, values.tolist()) == pytest.approx(expected, rel=1e-4)


def test_the_first_step_alone_is_its_average() -> None:
    assert averaged(2.0, [0.25]) == pytest.approx(0.25)


def test_it_is_not_the_model_that_goes_on() -> None:
    model = new_decoder(TINY)
    average = WeightAverage(model, 1.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update(5)
    with torch.no_grad():
        for parameter in average.model.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_the_average_of_another_model_is_refused() -> None:
    average = WeightAverage(new_decoder(TINY), 1.0)
    other = new_decoder(TINY.model_copy(update={"hidden": 96})).state_dict()
    with pytest.raises(RunError, match=r"checkpoint.*feed_forward_in"):
        average.load_state_tensors(other)


def test_what_is_kept_is_the_average_and_better_than_the_last_weights() -> None:
    torch.set_num_threads(1)
    splits = Splits(*(generate("alba", split, 4_000, 0) for split in ("train", "val", "test")))

    def trained(average: str) -> float:
        recipe = CONSTANT.model_copy(update={"average": average})
        outcome = train(TrainConfig(TINY, recipe, 4_000, evaluation_growth=1.2), splits)
        model = new_decoder(TINY)
        model.load_state_dict(outcome.weights)
        assert evaluate(model, splits.val).loss == outcome.best_val_loss
        assert outcome.best_val_loss is not None
        return outcome.best_val_loss

    assert trained("power") < trained("none") - 0.02
