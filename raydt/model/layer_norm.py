"""LayerNorm without a bias, forward and backward, for gradients by hand.

Shape suffixes: B windows, T bytes of a window, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_EPSILON = 1e-5  # that of nn.LayerNorm


class Normed(NamedTuple):
    """What a norm gives, and what its backward needs beside input and weight."""

    n_BTD: Tensor
    mean_BT1: Tensor
    inverse_std_BT1: Tensor


def layer_norm(x_BTD: Tensor, weight_D: Tensor) -> Normed:
    """As nn.LayerNorm, in the dtype of x."""
    return Normed(*torch.native_layer_norm(x_BTD, weight_D.shape, weight_D, None, _EPSILON))


def layer_norm_backward(
    grad_BTD: Tensor, x_BTD: Tensor, weight_D: Tensor, mean_BT1: Tensor, inverse_std_BT1: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of x, an array of its own, and of the weight, in the dtype of x."""
    grad_x, grad_weight, _ = torch.ops.aten.native_layer_norm_backward(
        grad_BTD.to(x_BTD.dtype), x_BTD, weight_D.shape, mean_BT1, inverse_std_BT1, weight_D, None,
        (True, True, False),
    )  # fmt: skip
    return grad_x, grad_weight
