from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from raydt.config.model import MODELS
from raydt.model.families import new_decoder
from raydt.model.paper import RelativePositionBias, distance_buckets


def test_buckets_are_those_of_t5() -> None:
    buckets = distance_buckets(1024)
    assert buckets[:16].tolist() == list(range(16))
    # By t5x's formula: 16 + floor(ln(n / 16) / ln(128 / 16) * 16), at most 31.
    for distance in (16, 17, 20, 33, 63, 64, 100, 127, 128, 1023):
        # t5x adds a float's epsilon, so that whole powers do not fall below themselves.
        growth = math.log(distance / 16 + 1.1920929e-07) / math.log(8) * 16
        assert buckets[distance] == min(31, 16 + math.floor(growth + 1e-6)), distance
    assert (buckets.diff() >= 0).all()


def test_the_bias_is_the_tables_entry_of_the_distance_and_learns() -> None:
    torch.manual_seed(0)
    bias = RelativePositionBias(MODELS["paper-micro"])
    found = bias(40, None)
    assert found.shape == (1, 2, 40, 40)
    buckets = distance_buckets(40)
    for i, j in ((0, 0), (5, 5), (9, 2), (39, 0), (39, 20)):
        assert torch.equal(found[0, :, i, j], bias.table_HN[:, buckets[i - j]])
    assert (found[0, :, 3, 4:] == -math.inf).all()
    F.softmax(found, dim=-1).square().sum().backward()
    assert bias.table_HN.grad is not None
    assert bias.table_HN.grad.isfinite().all()
    assert (bias.table_HN.grad != 0).any()


def test_the_forward_pass_is_that_of_t5x_written_out() -> None:
    """One layer by einsum, as the source writes it: query, key and value per head, no scaling."""
    torch.manual_seed(0)
    config = MODELS["paper-nano"].model_copy(update={"num_heads": 2, "window_bytes": 24})
    model = new_decoder(config)
    x = torch.randint(0, 256, (2, 24))
    block = model.blocks[0]
    K = config.width // 2

    def norm(v: torch.Tensor) -> torch.Tensor:
        return v * torch.rsqrt(v.square().mean(-1, keepdim=True) + 1e-6)

    with torch.no_grad():
        y = model.embedding.weight[x]
        w = block.query_key_value.weight.view(3, 2, K, config.width)
        q, k, v = (torch.einsum("btd,hkd->bthk", norm(y), w[n]) for n in range(3))
        scores = torch.einsum("bqhk,bthk->bhqt", q, k) + model.position_bias(24, None)
        heads = torch.einsum("bhqt,bthk->bqhk", scores.softmax(-1), v)
        y = y + heads.reshape(2, 24, -1) @ block.attention_out.weight.T
        gate, linear = block.feed_forward_in.weight.split(config.hidden)
        hidden = F.gelu(norm(y) @ gate.T, approximate="tanh") * (norm(y) @ linear.T)
        y = y + hidden @ block.feed_forward_out.weight.T
        logits = norm(y) @ model.embedding.weight.T / math.sqrt(config.width)
        torch.testing.assert_close(model(x), logits, rtol=1e-4, atol=1e-4)


def test_weights_begin_as_in_t5x() -> None:
    torch.manual_seed(0)
    config = MODELS["paper-small"].model_copy(update={"num_layers": 1})
    model = new_decoder(config)
    block = model.blocks[0]
    query, key, value = block.query_key_value.weight.view(3, 640, 640)
    expected = [
        (model.embedding.weight, 1.0),
        (query, 640**-0.5 / 8),
        (key, 640**-0.5),
        (value, 640**-0.5),
        (block.attention_out.weight, 640**-0.5),
        (block.feed_forward_in.weight, 640**-0.5),
        (block.feed_forward_out.weight, 2560**-0.5),
    ]
    for weight, std in expected:
        torch.testing.assert_close(weight.std().item(), std, rtol=0.01, atol=0)
