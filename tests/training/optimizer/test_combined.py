"""The state of the optimiser travels as flat tensors, and going on from it is bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.training.optimizer.combined import Optimizer

OWN = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=16)
PAPER = ModelConfig(**OWN.model_dump() | {"family": "paper", "conv_bytes": 1})


def steps(model: Decoder, optimizer: Optimizer, numbers: range) -> None:
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        x = torch.randint(0, 256, (2, 17), generator=generator)
        model.loss(x[:, :-1], x[:, 1:]).backward()
        optimizer.step(number)


@pytest.mark.parametrize("config", [OWN, PAPER], ids=["default", "paper"])
def test_going_on_from_a_file_is_bit_for_bit(config: ModelConfig, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = Recipe(learning_rate=0.01)
    torch.manual_seed(0)
    whole = new_decoder(config)
    begun = new_decoder(config)
    begun.load_state_dict(whole.state_dict())
    steps(whole, Optimizer(whole, recipe, 8), range(8))

    optimizer = Optimizer(begun, recipe, 8)
    assert optimizer.state_tensors() == {}
    steps(begun, optimizer, range(3))
    save_file(optimizer.state_tensors(), tmp_path / "optimizer.safetensors")
    resumed = new_decoder(config)
    resumed.load_state_dict(begun.state_dict())
    going_on = Optimizer(resumed, recipe, 8)
    going_on.load_state_tensors(load_file(tmp_path / "optimizer.safetensors"))
    steps(resumed, going_on, range(3, 8))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_what_is_loaded_is_a_copy() -> None:
    model = new_decoder(OWN)
    optimizer = Optimizer(model, Recipe(), 8)
    steps(model, optimizer, range(2))
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}
    optimizer.load_state_tensors(saved)
    before = {name: tensor.clone() for name, tensor in saved.items()}
    steps(model, optimizer, range(2, 4))
    for name, tensor in saved.items():
        assert torch.equal(tensor, before[name]), name
