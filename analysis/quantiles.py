"""Quantiles of resamples, some of which may be infinite."""

from __future__ import annotations

import numpy as np

from analysis.arrays import Floats


def ordered_quantiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The two ends of the central interval of values (R,), which may hold infinities.

    The ends are members of the sample, taken outwards: infinities cannot be interpolated.
    """
    ordered = np.sort(values)
    tail = (1 - confidence) / 2 * (len(ordered) - 1)
    # The rounding keeps 0.05 * 1000 from ending up one place further in or out.
    low = int(np.floor(round(tail, 9)))
    return float(ordered[low]), float(ordered[len(ordered) - 1 - low])
