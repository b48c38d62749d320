"""The joint size of several differences, and a test against noise.

The size is a sum of squares, |x|². Noise adds to it, by an amount known from the resamples of x, in
which all finetunes of a pretrain move together. So pretrains are the unit, as in the F test of
source means against those of pretrains, which the p-value equals on a complete grid (a generalised
p-value: Weerahandi, Journal of the American Statistical Association 88, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats


@dataclass(frozen=True)
class Size:
    """Root mean square of true differences; low and high: of its central interval; p: of "none"."""

    value: float
    low: float
    high: float
    p: float


def size_of(estimate: Floats, drawn: Floats, confidence: float, freedom: int = 0) -> Size:
    """The size of `estimate` (n,) with the noise of its resamples (R, n) removed.

    The interval inverts the test of every size along the estimate's own direction: with a for the
    noise along it and q for the squared noise, a true length l gives l² + 2·l·a + q, which meets
    the observed Q at l = -a + sqrt(a² - q + Q). freedom: dimensions in which the estimate can lie
    (effects that sum to zero have one less than n), n if 0.
    """
    moved = drawn - drawn.mean(axis=0)
    number = freedom or len(estimate)
    observed = float(estimate @ estimate)
    noise = (moved**2).sum(axis=1)
    length = np.sqrt(observed)
    along = moved @ estimate / length if length > 0 else np.zeros(len(moved))
    lengths = np.sqrt(np.maximum(along**2 - noise + observed, 0.0)) - along
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.maximum(lengths, 0.0), [tail, 1 - tail])
    value = np.sqrt(max(observed - float(noise.mean()), 0.0))
    scale = np.sqrt(number)
    p = float((noise >= observed).sum() + 1) / (len(moved) + 1)
    return Size(float(value / scale), float(low / scale), float(high / scale), p)


def reach_of_all(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Centre (n,) and half width (n,) of simultaneous intervals for n values, from (R, n).

    Standard errors times one quantile of the largest deviation (single-step max t; Westfall and
    Young, Resampling-Based Multiple Testing, 1993).
    """
    centre, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
    largest = (np.abs(drawn - centre) / np.where(error > 0, error, 1.0)).max(axis=1)
    return centre, error * float(np.quantile(largest, 1 - level))
