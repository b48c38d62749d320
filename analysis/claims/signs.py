"""The sign of a quantity, if its interval makes it certain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def certain_signs(
    rows: pd.DataFrame, low: str, high: str, low_range: str, high_range: str
) -> npt.NDArray[np.int8]:
    """1 for a row whose interval lies above 0, -1 for one whose interval lies below 0, and 0 if the
    interval includes 0, is open towards 0 (an end off the ladder or the curve) or is missing.

    `low` and `high` name the columns with the ends of the interval, `low_range` and `high_range`
    those that say where the ends lie: inside, below or above. Shape (rows,).
    """
    above = (rows[low] > 0) & (rows[low_range] != "below")
    below = (rows[high] < 0) & (rows[high_range] != "above")
    return np.asarray(above, dtype=np.int8) - np.asarray(below, dtype=np.int8)
