"""The sign of a quantity that has an interval, where it is certain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def certain_signs(
    rows: pd.DataFrame, low: str, high: str, low_range: str, high_range: str
) -> npt.NDArray[np.int8]:
    """1 where the interval of a row lies above 0, -1 where it lies below, 0 where it includes 0, is
    open towards 0 (an end off the ladder or the curve) or is missing. The columns of its ends, and
    of where these lie: inside, below or above; shape (rows,)."""
    above = (rows[low] > 0) & (rows[low_range] != "below")
    below = (rows[high] < 0) & (rows[high_range] != "above")
    return np.asarray(above, dtype=np.int8) - np.asarray(below, dtype=np.int8)
