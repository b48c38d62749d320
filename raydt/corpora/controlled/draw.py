"""Vectorised drawing, for worlds and surfaces."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]


def zipf_weights(n: int) -> NDArray[np.float64]:
    """Weights 1, 1/2, ... 1/n, scaled to a sum of 1; shape (n,)."""
    weights = 1.0 / np.arange(1, n + 1)
    return weights / weights.sum()


def choose_rows(cumulative: NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """One index per row, drawn by that row's cumulative weights (n, k) -> (n,)."""
    # Drawing in (0, 1] keeps a leading weight of zero from ever being chosen.
    point = 1.0 - rng.random((len(cumulative), 1))
    return np.minimum(
        (cumulative < point * cumulative[:, -1:]).sum(axis=1), cumulative.shape[1] - 1
    )
