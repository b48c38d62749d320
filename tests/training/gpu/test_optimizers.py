"""The optimisers of a GPU, on a CPU: they step as those of a CPU do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raydt.training.gpu.optimizers import FusedAdamW, StackedMuon
from raydt.training.optimizer.adamw import AdamW
from raydt.training.optimizer.muon import Muon

SHAPES = [(24, 8), (8, 8), (24, 8), (8, 24)]


def pairs() -> tuple[list[Tensor], list[Tensor]]:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    return ours, [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]


def give_gradients(step: int, *groups: list[Tensor]) -> None:
    generator = torch.Generator().manual_seed(step)
    for matrices in zip(*groups, strict=True):
        gradient = torch.randn(matrices[0].shape, generator=generator)
        for matrix in matrices:
            matrix.grad = gradient.clone()


def test_adamw_of_one_kernel_steps_as_ours() -> None:
    ours, theirs = pairs()
    fused, plain = FusedAdamW(ours, (0.9, 0.95), 0.1), AdamW(theirs, (0.9, 0.95), 0.1)
    for step in range(4):
        give_gradients(step, ours, theirs)
        for optimizer in (fused, plain):
            optimizer.set_rate(0.01 * (step + 1))
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
        assert fused.state[a].keys() == plain.state[b].keys()


@pytest.mark.parametrize(("rows", "close"), [(math.inf, 1e-6), (0, 1e-4)])
def test_muon_of_whole_shapes_steps_as_ours(rows: float, close: float) -> None:
    """Products of many matrices are rounded otherwise than one's, in bfloat16 visibly."""
    ours, theirs = pairs()
    stacked = StackedMuon(ours, weight_decay=0.05, bfloat16_rows=rows)
    plain = Muon(theirs, weight_decay=0.05, bfloat16_rows=rows)
    for step in range(4):
        give_gradients(step, ours, theirs)
        for optimizer in (stacked, plain):
            optimizer.set_rate(0.02 / (step + 1))
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=close, atol=close)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_resuming_is_bit_for_bit(kind: str) -> None:
    def new(matrices: list[Tensor]) -> FusedAdamW | StackedMuon:
        if kind == "adamw":
            return FusedAdamW(matrices, (0.9, 0.95), 0.1)
        return StackedMuon(matrices, weight_decay=0.05)

    whole, cut = pairs()
    first, second = new(whole), new(cut)
    for step in range(4):
        if step == 2:
            saved = [
                {quantity: tensor.clone() for quantity, tensor in second.state[matrix].items()}
                for matrix in cut
            ]
            second = new(cut)
            for matrix, state in zip(cut, saved, strict=True):
                second.restore(matrix, state)
        give_gradients(step, whole, cut)
        for optimizer in (first, second):
            optimizer.set_rate(0.01)
            optimizer.step()
    for a, b in zip(whole, cut, strict=True):
        assert torch.equal(a, b)
