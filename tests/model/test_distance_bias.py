"""The gradient of a bias by distance, without the matrix of it."""

from __future__ import annotations

import math

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.model.distance_bias import MAX_DISTANCE_BYTES, MatrixBias, with_bias_gradient
from raydt.model.paper import RelativePositionBias, distance_buckets

CONFIG = ModelConfig(
    width=16, num_layers=1, num_heads=2, hidden=32, window_bytes=512, family="paper", conv_bytes=1
)


@pytest.mark.parametrize("num_bytes", [128, 256, 512])
def test_it_is_that_of_the_matrix(num_bytes: int) -> None:
    torch.manual_seed(0)
    bias = RelativePositionBias(CONFIG)
    q, k, v = (torch.randn(3, 2, num_bytes, 8) for _ in range(3))
    of_out = torch.randn(3, 2, num_bytes, 8)

    matrix = bias(num_bytes, None)
    MatrixBias(matrix).attend(q, k, v).backward(of_out)
    assert bias.table_HN.grad is not None
    expected = bias.table_HN.grad.clone()
    bias.table_HN.grad = None

    with torch.no_grad():
        score = q @ k.mT + matrix
        out = (score.softmax(dim=-1) @ v).requires_grad_()
        log_sum = score.logsumexp(dim=-1)
    by_distance = bias.by_distance(MAX_DISTANCE_BYTES + 1)
    with_bias_gradient(out, q, k, v, log_sum, by_distance).backward(of_out)
    assert bias.table_HN.grad is not None
    torch.testing.assert_close(bias.table_HN.grad, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(out.grad, of_out)  # which attention without a bias takes from here


def test_all_distances_from_the_largest_on_share_a_bias() -> None:
    """What the gradient of the last distance rests on."""
    bucket = distance_buckets(4096)
    assert (bucket[MAX_DISTANCE_BYTES:] == bucket[-1]).all()
    assert math.isclose(float(bucket.max()), float(bucket[-1]))
