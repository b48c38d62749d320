from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from raydt.config.model import MODELS, ModelConfig
from raydt.model.decoder import IGNORED_TARGET, Decoder

TINY = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=16)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_in_closed_form(name: str) -> None:
    with torch.device("meta"):
        model = Decoder(MODELS[name])
    assert sum(p.numel() for p in model.parameters()) == MODELS[name].num_parameters


@pytest.mark.parametrize("name", ["nano", "micro"])
def test_flops_in_closed_form(name: str) -> None:
    config = MODELS[name]
    model = Decoder(config)
    x = torch.zeros(1, config.window_bytes, dtype=torch.long)
    # torch counts the plain attention, and not the fused one of a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == config.forward_flops_per_byte * config.window_bytes
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(x, x).backward()
    assert counter.get_total_flops() == config.training_flops_per_byte * config.window_bytes


def test_a_byte_sees_only_what_is_before_it() -> None:
    torch.manual_seed(0)
    model = Decoder(TINY)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randint(0, 256, (1, 16))
    changed = x.clone()
    changed[0, 9] = (x[0, 9] + 1) % 256
    with torch.no_grad():
        before, after = model(x), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_a_shorter_text_has_the_same_logits() -> None:
    torch.manual_seed(0)
    model = Decoder(TINY)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randint(0, 256, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(model(x)[:, :5], model(x[:, :5]))
        assert model(x[:, :1]).shape == (2, 1, 256)


def test_ignored_targets_do_not_count() -> None:
    torch.manual_seed(0)
    model = Decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    x, y = torch.randint(0, 256, (2, 1, 16))
    some = y.clone()
    some[0, :6] = IGNORED_TARGET
    summed = model.loss(x, y, reduction="sum") - model.loss(x, some, reduction="sum")
    with torch.no_grad():
        first = torch.nn.functional.cross_entropy(model(x)[0, :6], y[0, :6], reduction="sum")
    torch.testing.assert_close(summed, first)


def test_an_odd_head_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 2 x num_heads"):
        ModelConfig(width=30, num_layers=1, num_heads=2, hidden=64, window_bytes=16)
