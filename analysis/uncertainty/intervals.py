"""Intervals whose ends may lie off the ladder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats
from analysis.estimators.answer import Estimate, Range
from analysis.quantiles import ordered_quantiles


@dataclass(frozen=True)
class Interval:
    """Both ends in bytes; an end outside the ladder is the ladder's edge and a bound."""

    low_bytes: float
    low_range: Range
    high_bytes: float
    high_range: Range


def censored_interval(resampled: Estimate, rungs: Floats, confidence: float) -> Interval:
    """Percentile interval of D_E from resamples (R,), of which some may lie off the ladder."""
    place: npt.NDArray[np.int8] = resampled.range
    values = np.where(place == Range.BELOW, -np.inf, resampled.effective_bytes)
    values = np.where(place == Range.ABOVE, np.inf, values)
    ends = ordered_quantiles(values, confidence)
    placed = [
        (float(rungs[0]), Range.BELOW)
        if end == -np.inf
        else (float(rungs[-1]), Range.ABOVE)
        if end == np.inf
        else (end, Range.INSIDE)
        for end in ends
    ]
    return Interval(*placed[0], *placed[1])
