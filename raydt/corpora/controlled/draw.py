"""Vectorised drawing, for worlds and surfaces."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]


def zipf_weights(n: int) -> NDArray[np.float64]:
    """Weights 1, 1/2, ... 1/n, scaled to a sum of 1; shape (n,)."""
    weights: NDArray[np.float64] = 1.0 / np.arange(1, n + 1)
    weights /= weights.sum()
    return weights


def choose_rows(cumulative: NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """One index per row, drawn by that row's cumulative weights (n, k) -> (n,)."""
    # Drawing in (0, 1] keeps a leading weight of zero from ever being chosen.
    point = 1.0 - rng.random((len(cumulative), 1))
    chosen: IntArray = (cumulative < point * cumulative[:, -1:]).sum(axis=1)
    last = cumulative.shape[1] - 1
    chosen[chosen > last] = last  # where rounding left the total short
    return chosen
