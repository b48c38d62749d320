"""Causal attention of a window in strips of queries, forward and backward, for a CPU.

Shape suffixes: N windows times heads, T bytes of a window, K width of a head, S bytes of a strip.

torch's fused attention of a CPU is made for long windows, and in bfloat16 it ran at a third of the
rate of plain products. Strips that see no further than to their own end leave out nearly half of
what is masked.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Of 32, 64, 128 and 256 the fastest for windows of 128 to 512 bytes, or within noise of it.
_STRIP_BYTES, _STRIP_BYTES_BFLOAT16 = 64, 128
# The weights grow with the square of the window: in one of 512 bytes they are as much as four
# arrays of the hidden layer. Those of longer windows are not kept, but computed again by backward.
_KEPT_WINDOW_BYTES = 512


def attend(q_NTK: Tensor, k_NTK: Tensor, v_NTK: Tensor, y_NTK: Tensor) -> list[Tensor]:
    """Write softmax(q k^T) v into `y_NTK`, each byte seeing itself and those before it.

    Given back are the weights that backward wants to have: of each strip (N, S, bytes seen), or
    none of a window that is long. Queries come divided by what scores are to be divided by.
    """
    T = q_NTK.shape[1]
    later_SS = _later(q_NTK)
    kept = []
    for start, stop in _strips(q_NTK):
        weight_NST = _weights(q_NTK, k_NTK, start, stop, later_SS)
        y_NTK[:, start:stop] = torch.bmm(weight_NST, v_NTK[:, :stop])
        if T <= _KEPT_WINDOW_BYTES:
            kept.append(weight_NST)
    return kept


def attend_backward(
    grad_NTK: Tensor, q_NTK: Tensor, k_NTK: Tensor, v_NTK: Tensor, kept: list[Tensor]
) -> Tensor:
    """Gradients of query, key and value, (3, N, T, K), from that of what `attend` wrote."""
    T = q_NTK.shape[1]
    later_SS = _later(q_NTK)
    gradients_3NTK = q_NTK.new_empty(3, *q_NTK.shape)
    grad_q, grad_k, grad_v = gradients_3NTK
    for index, (start, stop) in reversed(list(enumerate(_strips(q_NTK)))):
        weight_NST = kept[index] if kept else _weights(q_NTK, k_NTK, start, stop, later_SS)
        grad_NSK, q_NSK = grad_NTK[:, start:stop], q_NTK[:, start:stop]
        grad_weight_NST = torch.bmm(grad_NSK, v_NTK[:, :stop].mT)
        grad_score_NST = torch._softmax_backward_data(
            grad_weight_NST, weight_NST, -1, weight_NST.dtype
        )
        grad_q[:, start:stop] = torch.bmm(grad_score_NST, k_NTK[:, :stop])
        if stop == T:  # the only strip that sees all
            torch.bmm(grad_score_NST.mT, q_NSK, out=grad_k)
            torch.bmm(weight_NST.mT, grad_NSK, out=grad_v)
        else:
            grad_k[:, :stop].baddbmm_(grad_score_NST.mT, q_NSK)
            grad_v[:, :stop].baddbmm_(weight_NST.mT, grad_NSK)
    return gradients_3NTK


def _weights(q_NTK: Tensor, k_NTK: Tensor, start: int, stop: int, later_SS: Tensor) -> Tensor:
    score_NST = torch.bmm(q_NTK[:, start:stop], k_NTK[:, :stop].mT)
    score_NST[:, :, start:] += later_SS[: stop - start, : stop - start]
    return score_NST.softmax(dim=-1)


def _later(q_NTK: Tensor) -> Tensor:
    """-inf where a byte of a strip (column) comes after another (row), else 0."""
    side = min(q_NTK.shape[1], _strip_bytes(q_NTK))
    return q_NTK.new_full((side, side), -math.inf).triu_(1)


def _strips(q_NTK: Tensor) -> list[tuple[int, int]]:
    T, length = q_NTK.shape[1], _strip_bytes(q_NTK)
    return [(start, min(start + length, T)) for start in range(0, T, length)]


def _strip_bytes(q_NTK: Tensor) -> int:
    return _STRIP_BYTES_BFLOAT16 if q_NTK.dtype == torch.bfloat16 else _STRIP_BYTES
