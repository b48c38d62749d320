"""Where gradients are written by hand, and in which dtype.

On a CPU a small model spends as long between the matrix products as in them: torch's autograd keeps
and walks one array per operation, and autocast converts arrays that would do as they are. There the
default family goes by `attention_half`, `feed_forward_half` and `head_loss`. `torch.compile` and
GPUs get the plain formulas, which the compiler fuses better; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_only_plain = False


def by_hand(x: Tensor) -> bool:
    """Whether `x` is for operations with gradients by hand."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not _only_plain


@contextmanager
def plain_formulas() -> Iterator[None]:
    """What a GPU and the compiler get, on a CPU too: to compare with, and to count FLOPs."""
    global _only_plain
    _only_plain = True
    try:
        yield
    finally:
        _only_plain = False


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype of matrix products with the stream `x`: autocast's, where that is on."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return x.dtype


def apply(function: type[Function], *arguments: Any) -> Any:
    """`function.apply`, which torch leaves untyped; it says itself what is in which dtype."""
    with torch.autocast("cpu", enabled=False):
        return function.apply(*arguments)  # type: ignore[no-untyped-call]
