"""The formulas with gradients by hand are the plain ones: values and gradients, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raydt.model import causal_attention, fewer_passes
from raydt.model.fewer_passes import convolve, rotated_heads, squared_relu


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Tensor]], Tensor]:
    """What a GPU and the compiler get."""

    def call(function: Callable[[], Tensor]) -> Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(fewer_passes, "by_hand", lambda _: False)
            patch.setattr(causal_attention, "by_hand", lambda _: False)
            return function()

    return call


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("num_bytes", [2, 9])
def test_values_and_gradients_are_the_plain_ones(
    num_bytes: int, plain: Callable[[Callable[[], Tensor]], Tensor]
) -> None:
    torch.manual_seed(0)
    x, weight, heads = random(2, num_bytes, 6), random(3, 6), random(2, num_bytes, 3, 2, 8)
    angle = torch.randn(num_bytes, 4, dtype=torch.float64)
    cases: list[tuple[Callable[[], Tensor], list[Tensor]]] = [
        (lambda: squared_relu(x), [x]),
        (lambda: convolve(x, weight), [x, weight]),
        (lambda: torch.cat(rotated_heads(heads, angle.cos(), angle.sin())), [heads]),
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


@pytest.mark.parametrize("num_bytes", [1, 7, 64, 65, 200])
def test_attention_is_the_plain_one(
    num_bytes: int, plain: Callable[[Callable[[], Tensor]], Tensor]
) -> None:
    torch.manual_seed(0)
    # As they come out of one product: the heads of a byte side by side.
    heads = random(2, num_bytes, 3, 2, 8)

    def attend() -> Tensor:
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        return causal_attention.causal_attention(q, k, v)

    ours, theirs = attend(), plain(attend)
    assert type(ours.grad_fn) is not type(theirs.grad_fn)
    torch.testing.assert_close(ours, theirs)
    incoming = torch.randn_like(ours)
    (a,), (b,) = (torch.autograd.grad(y, [heads], incoming) for y in (ours, theirs))
    torch.testing.assert_close(a, b)


def test_attention_in_bfloat16_and_of_long_windows_is_torchs() -> None:
    q = torch.randn(1, 1, 513, 8, requires_grad=True)
    long = causal_attention.causal_attention(q, q, q)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = causal_attention.causal_attention(q[:, :, :9], q[:, :, :9], q[:, :, :9])
    for y in (long, rounded):
        assert "InStrips" not in type(y.grad_fn).__name__
