"""Attention written out is the plain formula, and only where it is the faster one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.cpu import attention
from raydt.fast_path import switched_off
from raydt.model.families import new_decoder
from raydt.training.loop import Splits, TrainConfig, train

CONFIG = ModelConfig(width=24, num_layers=2, num_heads=3, hidden=40, window_bytes=200)
PAPER = ModelConfig(**CONFIG.model_dump() | {"family": "paper", "conv_bytes": 1})
MASKED = CONFIG.model_copy(update={"mask_documents": True})
TINY = ModelConfig(width=32, num_layers=1, num_heads=2, hidden=64, window_bytes=32)


@pytest.mark.parametrize("num_bytes", [1, 2, 7, 65])
def test_it_is_the_plain_formula_and_so_are_its_gradients(num_bytes: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, num_bytes, 8).double().requires_grad_() for _ in range(3)]
    ours = attention.attend(*inputs)
    theirs = F.scaled_dot_product_attention(*inputs, is_causal=True)
    torch.testing.assert_close(ours, theirs)
    incoming = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, incoming),
        torch.autograd.grad(theirs, inputs, incoming),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_it_serves_values_in_bfloat16_on_a_cpu_of_windows_that_are_not_long() -> None:
    def values(dtype: torch.dtype = torch.bfloat16, num_bytes: int = 512, device: str = "cpu"):
        return torch.empty(1, 2, num_bytes, 8, dtype=dtype, device=device)

    assert attention.serves(values())
    assert not attention.serves(values(torch.float32))
    assert not attention.serves(values(num_bytes=513))
    assert not attention.serves(values(device="meta"))  # any that is no CPU


@pytest.mark.parametrize(
    ("config", "dtype", "off", "num_calls"),
    [
        (CONFIG, torch.bfloat16, False, 2),
        (CONFIG, torch.bfloat16, True, 0),
        (CONFIG, torch.float32, False, 0),
        (MASKED, torch.bfloat16, False, 0),
        (PAPER, torch.bfloat16, False, 0),
    ],
    ids=["default", "switched off", "float32", "masked documents", "paper"],
)
def test_which_cells_go_by_it(
    config: ModelConfig,
    dtype: torch.dtype,
    off: bool,
    num_calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = attention.attend, []

    def attend(*tensors: Tensor) -> Tensor:
        calls.append(tensors)
        return real(*tensors)

    monkeypatch.setattr(attention, "attend", attend)
    x = torch.randint(0, 256, (1, 9))
    with (
        switched_off() if off else nullcontext(),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16),
    ):
        new_decoder(config).loss(x, x)
    assert len(calls) == num_calls


@pytest.mark.parametrize("num_bytes", [128, 200])
def test_it_is_as_exact_as_torchs_own_in_bfloat16(num_bytes: int) -> None:
    """Distances from float64 of the loss's gradients, over all parameters."""
    torch.manual_seed(0)
    model = new_decoder(CONFIG)
    for parameter in model.parameters():  # also where weights begin at zero
        torch.nn.init.normal_(parameter, std=0.3)
    x, y = torch.randint(0, 256, (2, 4, num_bytes))
    parameters = list(model.parameters())
    exact = torch.autograd.grad(model.double().loss(x, y), parameters)
    model.float()

    def distances(way: Callable[[], AbstractContextManager[None]]) -> Tensor:
        with way(), torch.autocast("cpu", torch.bfloat16):
            rounded = torch.autograd.grad(model.loss(x, y), parameters)
        return torch.stack(
            [(a.double() - b).norm() / b.norm() for a, b in zip(rounded, exact, strict=True)]
        )

    ours, theirs = distances(nullcontext), distances(switched_off)
    assert ours.min() > 1e-4, "it is computed in bfloat16"
    assert (ours / theirs).mean() < 1.3
    assert ours.max() < 0.1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cell_ends_the_same_to_rounding_without_the_fast_path(precision: str) -> None:
    torch.set_num_threads(1)
    splits = Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))
    recipe = Recipe(budget_bytes="8k", min_steps=1, precision=precision)
    config = TrainConfig(TINY, recipe, 2_000, evaluations=2)
    fast = train(config, splits)
    with switched_off():
        plain = train(config, splits)
    if precision == "float32":
        assert fast.test_loss == plain.test_loss
    else:
        assert fast.test_loss == pytest.approx(plain.test_loss, rel=2e-3)
        assert fast.test_loss != plain.test_loss, "there are two ways"
