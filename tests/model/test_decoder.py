from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from raydt.config.model import MODELS, ModelConfig
from raydt.model.decoder import IGNORED_TARGET, Decoder
from raydt.model.families import new_decoder

OWN = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=16)
PAPER = ModelConfig(**OWN.model_dump() | {"family": "paper", "conv_bytes": 1})
both = pytest.mark.parametrize("config", [OWN, PAPER], ids=["default", "paper"])


def with_random_weights(config: ModelConfig) -> Decoder:
    """Also where weights begin at zero, so that nothing is hidden by them."""
    torch.manual_seed(0)
    model = new_decoder(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_parameters_in_closed_form(name: str) -> None:
    with torch.device("meta"):
        model = new_decoder(MODELS[name])
    assert sum(p.numel() for p in model.parameters()) == MODELS[name].num_parameters


@pytest.mark.parametrize("name", ["nano", "micro", "paper-nano", "paper-micro"])
def test_flops_in_closed_form(name: str) -> None:
    config = MODELS[name]
    model = new_decoder(config)
    x = torch.zeros(1, config.window_bytes, dtype=torch.long)
    # torch counts the plain attention, which computes what is masked, too: not the fused one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == config.forward_flops_per_byte * config.window_bytes
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(x, x).backward()
    assert counter.get_total_flops() == config.training_flops_per_byte * config.window_bytes


def test_sizes_go_from_a_tenth_of_a_million_to_1_6_billion() -> None:
    for family in ("default", "paper"):
        sizes = [c.num_parameters for c in MODELS.values() if c.family == family]
        assert sizes == sorted(sizes)
        assert sizes[0] < 1e5
        assert 1.5e9 < sizes[-1] < 1.7e9


@both
def test_a_byte_sees_only_what_is_before_it(config: ModelConfig) -> None:
    model = with_random_weights(config)
    x = torch.randint(1, 256, (1, 16))
    changed = x.clone()
    changed[0, 9] = (x[0, 9] + 1) % 256
    with torch.no_grad():
        before, after = model(x), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


@both
def test_a_shorter_text_has_the_same_logits(config: ModelConfig) -> None:
    model = with_random_weights(config)
    x = torch.randint(0, 256, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(model(x)[:, :5], model(x[:, :5]))
        assert model(x[:, :1]).shape == (2, 1, 256)


@both
def test_ignored_targets_do_not_count(config: ModelConfig) -> None:
    model = with_random_weights(config)
    x, y = torch.randint(0, 256, (2, 1, 16))
    some = y.clone()
    some[0, :6] = IGNORED_TARGET
    with torch.no_grad():
        summed = model.loss(x, y, reduction="sum") - model.loss(x, some, reduction="sum")
        first = torch.nn.functional.cross_entropy(model(x)[0, :6], y[0, :6], reduction="sum")
    torch.testing.assert_close(summed, first, rtol=1e-4, atol=1e-4)


@both
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_z_loss_is_in_the_gradient_and_not_in_the_value(
    config: ModelConfig, reduction: str
) -> None:
    model = with_random_weights(config)
    x, y = torch.randint(0, 256, (2, 2, 16))
    y[0, :4] = IGNORED_TARGET
    plain = model.loss(x, y, reduction)
    with_z = model.loss(x, y, reduction, z_loss=0.01)
    assert torch.equal(plain, with_z)
    penalty = model(x)[y != IGNORED_TARGET].logsumexp(-1).square()
    penalized = plain + 0.01 * (penalty.mean() if reduction == "mean" else penalty.sum())
    parameters = list(model.parameters())
    ours = torch.autograd.grad(with_z, parameters)
    for a, b in zip(ours, torch.autograd.grad(penalized, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@both
def test_a_masked_document_does_not_depend_on_the_one_before_it(config: ModelConfig) -> None:
    model = with_random_weights(config.model_copy(update={"mask_documents": True}))
    x = torch.randint(1, 256, (1, 16))
    x[0, 7] = 0
    changed = x.clone()
    changed[0, :7] = torch.randint(1, 256, (7,))
    with torch.no_grad():
        before, after, alone = model(x), model(changed), model(x[:, 7:])
    assert torch.equal(before[:, 7:], after[:, 7:])
    assert not torch.allclose(before[:, :7], after[:, :7])
    torch.testing.assert_close(before[:, 7:], alone)  # positions are relative
    # Without the mask it does depend, and a window of one document is the same either way.
    model = with_random_weights(config)
    masked = with_random_weights(config.model_copy(update={"mask_documents": True}))
    one = torch.randint(1, 256, (2, 16))
    with torch.no_grad():
        assert not torch.allclose(model(x)[:, 7:], model(changed)[:, 7:])
        torch.testing.assert_close(model(one), masked(one))


def test_a_head_or_a_convolution_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 2 x num_heads"):
        ModelConfig(width=30, num_layers=1, num_heads=2, hidden=64, window_bytes=16)
    with pytest.raises(ValueError, match="multiple of num_heads"):
        ModelConfig(**PAPER.model_dump() | {"width": 31})
    with pytest.raises(ValueError, match="expected conv_bytes = 1"):
        ModelConfig(**OWN.model_dump() | {"family": "paper"})


def test_only_the_default_family_has_matrices_for_muon() -> None:
    assert len(new_decoder(OWN).matrices()) == 4 * OWN.num_layers
    assert new_decoder(PAPER).matrices() == []


def test_logits_begin_small_enough() -> None:
    """A new model knows nothing: its loss is about ln 256, more where ends are tied.

    There, as in t5x, a byte's own embedding is all that the first logits see.
    """
    torch.manual_seed(0)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 128)))
    with torch.no_grad():
        own = new_decoder(MODELS["nano"]).loss(x[:, :-1], x[:, 1:])
        paper = new_decoder(MODELS["paper-nano"]).loss(x[:, :-1], x[:, 1:])
    assert own.item() == pytest.approx(np.log(256), abs=1e-5)
    assert np.log(256) < paper.item() < 8
