"""The formulas with gradients by hand are the plain ones: values and gradients, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raydt.model import fewer_passes
from raydt.model.fewer_passes import IGNORED_TARGET, convolve, cross_entropy, rotate, squared_relu


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Tensor]], Tensor]:
    """What a GPU and the compiler get."""

    def call(function: Callable[[], Tensor]) -> Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(fewer_passes, "_by_hand", lambda _: False)
            return function()

    return call


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("num_bytes", [2, 9])
def test_values_and_gradients_are_the_plain_ones(
    num_bytes: int, plain: Callable[[Callable[[], Tensor]], Tensor]
) -> None:
    torch.manual_seed(0)
    x, weight, heads = random(2, num_bytes, 6), random(3, 6), random(2, 3, num_bytes, 8)
    angle = torch.randn(num_bytes, 4, dtype=torch.float64)
    logits, y = random(num_bytes, 256), torch.randint(0, 256, (num_bytes,))
    cases: list[tuple[Callable[[], Tensor], list[Tensor]]] = [
        (lambda: squared_relu(x), [x]),
        (lambda: convolve(x, weight), [x, weight]),
        (lambda: rotate(heads, angle.cos(), angle.sin()), [heads]),
        (lambda: cross_entropy(logits, y, "mean"), [logits]),
    ]
    for function, inputs in cases:
        ours, theirs = function(), plain(function)
        torch.testing.assert_close(ours, theirs)
        incoming = torch.randn_like(ours)
        for a, b in zip(
            torch.autograd.grad(ours, inputs, incoming),
            torch.autograd.grad(theirs, inputs, incoming),
            strict=True,
        ):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_counts_what_counts_and_bears_large_logits(reduction: str) -> None:
    torch.manual_seed(0)
    logits = random(7, 256)
    scaled = logits * 400  # probabilities far below the smallest float
    y = torch.randint(0, 256, (7,))
    y[2:4] = IGNORED_TARGET
    ours = cross_entropy(scaled, y, reduction)
    theirs = F.cross_entropy(scaled, y, ignore_index=IGNORED_TARGET, reduction=reduction)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours, logits, retain_graph=True),
        torch.autograd.grad(theirs, logits),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    # float32 far outside of what an exponential can hold
    single = cross_entropy(scaled.detach().float(), y, reduction)
    torch.testing.assert_close(single.double(), theirs.detach(), rtol=1e-5, atol=0)
