"""Which bytes of a window belong to one document: byte 0 stands before a document's first byte.

B batch, T bytes of a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

SEPARATOR = 0


def document_numbers(x_BT: Tensor) -> Tensor:
    """The document of each byte, counted from 0 in each window; (B, T) int64.

    A separator belongs to the document after it: it is the byte that the first byte is predicted
    from. What is predicted of the separator itself, the end of a document, has seen the document.
    """
    return (x_BT == SEPARATOR).cumsum(dim=1)


def attention_mask(document_BT: Tensor) -> Tensor:
    """True where a byte (row) may see another (column): earlier, or itself, and of one document.

    (B, 1, T, T) bool, to be broadcast over the heads.
    """
    T = document_BT.shape[1]
    causal_TT = torch.ones(T, T, dtype=torch.bool, device=document_BT.device).tril()
    same_BTT = document_BT[:, :, None] == document_BT[:, None, :]
    return (same_BTT & causal_TT)[:, None]
