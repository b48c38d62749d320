"""What a CPU computes with gradients by hand is what the plain formulas say, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from raydt.config.model import ModelConfig
from raydt.model import causal_attention
from raydt.model.by_hand import apply, plain_formulas
from raydt.model.decoder import IGNORED_TARGET, Decoder

CONFIG = ModelConfig(width=24, num_layers=2, num_heads=3, hidden=40, window_bytes=200)


def decoder() -> Decoder:
    """Also where weights begin at zero, so that nothing is hidden by them."""
    torch.manual_seed(0)
    model = Decoder(CONFIG).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def bytes_of(num_windows: int, num_bytes: int) -> tuple[Tensor, Tensor]:
    x, y = torch.randint(0, 256, (2, num_windows, num_bytes))
    return x, y


def gradients(loss: Tensor, model: Decoder) -> list[Tensor]:
    # A window of one byte has nothing to be convolved with.
    return list(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize("num_bytes", [1, 2, 7, 64, 65, 200])
@pytest.mark.parametrize("kept_window_bytes", [100, 512])
def test_logits_and_gradients_are_the_plain_ones(
    num_bytes: int, kept_window_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causal_attention, "_KEPT_WINDOW_BYTES", kept_window_bytes)
    model = decoder()
    x, _ = bytes_of(2, num_bytes)
    ours = model(x)
    with plain_formulas():
        theirs = model(x)
    assert type(ours.grad_fn) is type(theirs.grad_fn), "the head is no other here"
    torch.testing.assert_close(ours, theirs)
    incoming = torch.randn_like(ours)
    assert_close(
        gradients((ours * incoming).sum(), model), gradients((theirs * incoming).sum(), model), 1e-9
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
@pytest.mark.parametrize("num_ignored", [0, 5])
def test_the_loss_and_its_gradients_are_the_plain_ones(
    reduction: str, z_loss: float, num_ignored: int
) -> None:
    model = decoder()
    x, y = bytes_of(3, 40)
    y[1, :num_ignored] = IGNORED_TARGET
    ours = model.loss(x, y, reduction, z_loss)
    with plain_formulas():
        theirs = model.loss(x, y, reduction, z_loss)
    assert "HeadLoss" in type(ours.grad_fn).__name__ or "HeadLoss" in str(ours.grad_fn)
    assert "HeadLoss" not in str(theirs.grad_fn)
    # The plain formulas compute the loss of the logits in float32.
    torch.testing.assert_close(ours, theirs.double(), rtol=1e-6, atol=1e-6)
    assert_close(gradients(3 * ours, model), gradients(3 * theirs, model), 1e-6)


def test_a_target_next_to_impossible_has_a_finite_loss() -> None:
    model = decoder()
    with torch.no_grad():
        model.head.weight *= 1e4
    x, y = bytes_of(1, 40)
    model.float()
    loss = model.loss(x, y)
    assert 1_000 < loss.item() < float("inf")
    assert all(bool(g.isfinite().all()) for g in gradients(loss, model))


@pytest.mark.parametrize("num_bytes", [128, 200])
def test_bfloat16_by_hand_is_as_exact_as_autocast(num_bytes: int) -> None:
    """Distances from float64 of the loss's gradients, over all parameters."""
    model = decoder()
    x, y = bytes_of(4, num_bytes)
    exact = gradients(model.loss(x, y), model)
    model.float()

    def distances(loss: Callable[[], Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            rounded = gradients(loss(), model)
        return torch.stack(
            [(a.double() - b).norm() / b.norm() for a, b in zip(rounded, exact, strict=True)]
        )

    ours = distances(lambda: model.loss(x, y))
    with plain_formulas():
        theirs = distances(lambda: model.loss(x, y))
    assert all(gradient.dtype == torch.float32 for gradient in gradients(model.loss(x, y), model))
    assert ours.min() > 1e-4, "it is computed in bfloat16"
    assert (ours / theirs).mean() < 1.3
    assert ours.max() < 0.1


def test_masked_documents_go_by_the_plain_formulas() -> None:
    model = decoder()
    model.config = CONFIG.model_copy(update={"mask_documents": True})
    x, _ = bytes_of(1, 40)
    with torch.no_grad():
        ours = model(x)
        with plain_formulas():
            assert torch.equal(ours, model(x))


def test_plain_formulas_end_with_their_block() -> None:
    model = decoder()
    x, y = bytes_of(1, 9)
    with pytest.raises(ZeroDivisionError), plain_formulas():
        raise ZeroDivisionError
    assert "HeadLoss" in str(model.loss(x, y).grad_fn)
    plain = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    torch.testing.assert_close(model.loss(x, y), plain)


class AsksForAutocast(Function):
    @staticmethod
    def forward(ctx: Any) -> Tensor:
        return torch.tensor(torch.is_autocast_enabled("cpu"))


def test_autocast_does_not_convert_what_is_by_hand() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert not apply(AsksForAutocast)
        assert torch.is_autocast_enabled("cpu")
