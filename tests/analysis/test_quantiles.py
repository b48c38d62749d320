"""Ranks are those of scipy.stats, which takes half a second to import."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from analysis.quantiles import mean_ranks


@pytest.mark.parametrize(
    "values",
    [
        np.array([3.0, 1.0, 2.0, 1.0, 1.0]),
        np.array([np.inf, -np.inf, 0.0, np.inf]),
        np.array([1.0, np.nan, 2.0]),
        np.random.default_rng(0).integers(0, 9, 200).astype(float),
    ],
)
def test_equal_values_share_the_mean_of_their_ranks(values: np.ndarray) -> None:
    assert np.array_equal(mean_ranks(values), rankdata(values), equal_nan=True)
