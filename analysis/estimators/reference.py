"""The authors' own computation of D_E, kept to reproduce their tables: `reference`."""

from __future__ import annotations

import re

import numpy as np

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.ladder import Ladder
from raydt.errors import InputError
from raydt.units import parse_bytes

WRAP_AT_PERPLEXITY = 10.0
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)B")
CAUTION = (
    "the authors' computation, kept only to reproduce their tables; do not use it. It wraps "
    "perplexity around at 10, so that a small rung's perplexity of 12.5 counts as 2.5 and lands "
    "between the large rungs; it takes labels literally (6M as 6,000,000 bytes instead of "
    "6,815,744); off the ladder its numbers are meaningless; and its sign can contradict the "
    "comparison with scratch at the same size"
)


def reference(ladder: Ladder, log_loss: Floats, finetune_bytes: float) -> Estimate:
    """Bytes interpolated over perplexity taken modulo 10: numpy's interp with `period=10`.

    `range` says where the loss really lies; `effective_bytes` is never a bound, as in the authors'
    code. Pass the ladder in nominal sizes (`nominal_bytes`) to get their numbers. Shapes as in
    `loglog`. Source: the code published with NAACL 2024, arXiv 2404.08191.
    """
    wanted = np.asarray(np.exp(np.exp(np.asarray(log_loss, dtype=float))))
    perplexity = np.broadcast_to(
        np.exp(np.exp(ladder.log_loss)), (*wanted.shape, len(ladder.num_bytes))
    )
    effective = np.empty(wanted.shape)
    for place in np.ndindex(wanted.shape):
        effective[place] = np.interp(
            wanted[place], perplexity[place], ladder.num_bytes, period=WRAP_AT_PERPLEXITY
        )
    above, below = wanted < perplexity.min(axis=-1), wanted > perplexity.max(axis=-1)
    where = np.where(above, Range.ABOVE, np.where(below, Range.BELOW, Range.INSIDE))
    return Estimate(effective, where.astype(np.int8))


def nominal_bytes(label: str, num_bytes: float) -> float:
    """The size that a label literally states ("6M": 6,000,000); the true bytes if it states none.

    The only place where a label is read as a size, because this is the error to be reproduced.
    """
    # In the published grid B is a billion; raydt's own B is one byte.
    billions = _BILLIONS.fullmatch(label) if num_bytes >= 10**9 else None
    try:
        return float(parse_bytes(f"{billions[1]}G" if billions else label))
    except InputError:
        return float(num_bytes)
