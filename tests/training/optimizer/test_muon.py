from __future__ import annotations

import math

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.model.families import new_decoder
from raydt.training.optimizer import muon
from raydt.training.optimizer.combined import Optimizer
from raydt.training.optimizer.muon import Muon, orthogonalized


def test_it_steps_as_torchs_own_does() -> None:
    torch.manual_seed(0)
    shapes = [(24, 8), (8, 8), (24, 8), (8, 24)]
    theirs = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    ours = [torch.nn.Parameter(matrix.detach().clone()) for matrix in theirs]
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.05)
    optimizer = Muon(ours, weight_decay=0.05)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        reference.step()
        optimizer.set_rate(0.02)
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        # A step is 0.02 at most in any entry, and products in bfloat16 are good to 2^-8.
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
        momentum = reference.state[b]["momentum_buffer"]
        torch.testing.assert_close(optimizer.state[a]["momentum_buffer"], momentum)


def test_singular_values_end_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((16, 48), (48, 16), (16, 16)):
        found = orthogonalized(torch.randn(shape))
        assert found.shape == shape
        values = torch.linalg.svdvals(found)
        # The smallest of a square random matrix is too small for five steps.
        assert values[1].min() > 0.5
        assert values.max() < 1.5


def test_only_matrices_with_enough_rows_go_by_bfloat16() -> None:
    torch.manual_seed(0)
    small, large = torch.randn(8, 24), torch.randn(16, 24)
    ends = {}
    for rows in (0, 16, math.inf):
        matrices = [torch.nn.Parameter(x.clone()) for x in (small, large)]
        for matrix in matrices:
            matrix.grad = matrix.detach().clone()
        optimizer = Muon(matrices, weight_decay=0.0, bfloat16_rows=rows)
        optimizer.set_rate(0.02)
        optimizer.step()
        ends[rows] = [matrix.detach() for matrix in matrices]
    assert torch.equal(ends[16][0], ends[math.inf][0])
    assert torch.equal(ends[16][1], ends[0][1])
    assert not torch.equal(ends[0][0], ends[math.inf][0])
    assert not torch.equal(ends[0][1], ends[math.inf][1])


def test_float32_on_a_cpu_is_float32_in_muon_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the CPU can do: its numbers are the same on all of them."""
    kinds: list[torch.dtype] = []

    def orthogonalized(x: torch.Tensor) -> torch.Tensor:
        kinds.append(x.dtype)
        return x

    monkeypatch.setattr(muon, "orthogonalized", orthogonalized)
    for width in (64, 128):
        model = new_decoder(
            ModelConfig(width=width, num_layers=1, num_heads=1, hidden=width, window_bytes=8)
        )
        for precision in ("float32", "bfloat16"):
            optimizer = Optimizer(model, Recipe(precision=precision), 1)
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step(0)
    # Four matrices each time; those of 64 rows are faster in float32 always.
    assert kinds == [torch.float32] * 12 + [torch.bfloat16] * 4
