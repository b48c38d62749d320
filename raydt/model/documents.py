"""Documents inside a window: byte 0 precedes the first byte of each document.

B batch, T bytes of a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

SEPARATOR = 0


def document_numbers(x_BT: Tensor) -> Tensor:
    """The document of each byte, counted from 0 in each window; (B, T) int64.

    A separator belongs to the document after it, because that document's first byte is predicted
    from it. The separator itself is predicted from the document that it ends.
    """
    return (x_BT == SEPARATOR).cumsum(dim=1)


def attention_mask(document_BT: Tensor) -> Tensor:
    """True where a byte (row) may attend to another (column): itself or earlier, same document.

    (B, 1, T, T) bool, to be broadcast over the heads.
    """
    T = document_BT.shape[1]
    causal_TT = torch.ones(T, T, dtype=torch.bool, device=document_BT.device).tril()
    same_BTT = document_BT[:, :, None] == document_BT[:, None, :]
    return (same_BTT & causal_TT)[:, None]
