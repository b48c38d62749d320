"""D_T as points of a power law: values, bounds, and what is neither."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats
from analysis.laws.draws import Places

PLACES = {"below": -1, "inside": 0, "above": 1}  # words of the column `range`
OUT = 9  # neither a value nor a bound
# A D_T lower than this many of its resolutions is negative, and not a zero seen through noise.
NEGATIVE_BEYOND = 2.0


@dataclass(frozen=True)
class Coded:
    """log D_T, or the log of its bound, and what it is: 0 value, -1 at most, 1 at least, 9 out."""

    outcome: Floats
    place: Places


def coded(transferred: Floats, place: Places, resolution: Floats) -> Coded:
    """Points (R, n) as `censored_regression` wants them; resolution (n,) in bytes, or NaN."""
    limit = np.nan_to_num(resolution, nan=0.0)
    inside, below = place == 0, place == -1
    small = below | (inside & (transferred <= limit))
    # Under the ladder's edge the edge itself holds, unless it is finer than what can be resolved.
    value = np.where(small, np.maximum(np.where(below, transferred, 0.0), limit), transferred)
    kind = np.where(small, -1, place)
    # "At least" or "at most" a negative number says nothing of a logarithm.
    kind = np.where(value > 0, kind, OUT)
    return Coded(np.log(np.where(value > 0, value, 1.0)), kind.astype(np.int8))


def is_negative(transferred: Floats, place: Places, resolution: Floats) -> npt.NDArray[np.bool_]:
    """Points (n,) whose D_T no law with k > 0 describes."""
    limit = np.nan_to_num(resolution, nan=0.0)
    unbounded = coded(transferred[None], place[None], resolution).place[0] == OUT
    return np.asarray((place <= 0) & ((transferred < -NEGATIVE_BEYOND * limit) | unbounded))
