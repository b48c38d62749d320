"""Quantiles and ranks of values, some of which may be infinite.

Those of Student's t and the normal distribution are in `scipy.special`; `scipy.stats`, which has
them under plainer names, takes half a second to import.
"""

from __future__ import annotations

import numpy as np

from analysis.arrays import Floats


def ordered_quantiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The two ends of the central interval of values (R,), which may include infinities.

    The ends are members of the sample, rounded outwards: infinities cannot be interpolated.
    """
    ordered = np.sort(values)
    tail = (1 - confidence) / 2 * (len(ordered) - 1)
    # Rounding keeps 0.05 * 1000 from being off by one position.
    low = int(np.floor(round(tail, 9)))
    return float(ordered[low]), float(ordered[len(ordered) - 1 - low])


def mean_ranks(values: Floats) -> Floats:
    """Ranks of values (N,) from 1 on; equal ones share the mean of theirs. NaN where any is NaN."""
    values = np.asarray(values, dtype=float)
    if np.isnan(values).any():
        return np.full(values.shape, np.nan)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])
