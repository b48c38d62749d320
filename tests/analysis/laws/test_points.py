"""What weighs a point of a law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.laws.points import error_log


def rows(low_ranges: list[str]) -> pd.DataFrame:
    """Four finetunes on 8k and one on 32k, log D_E sure to within 0.1 and 0.3."""
    size = np.array([8_000, 8_000, 8_000, 8_000, 32_000])
    half = 1.6449 * np.array([0.1, 0.1, 0.1, 0.1, 0.3])
    return pd.DataFrame(
        {
            "finetune_bytes": size,
            "transferred_low_bytes": size * np.exp(-half) - size,
            "transferred_high_bytes": size * np.exp(half) - size,
            "low_range": low_ranges,
            "high_range": "inside",
            "confidence": 0.90,
        }
    )


def test_the_error_is_that_of_the_interval() -> None:
    found = error_log(rows(["inside"] * 5))
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.3], rel=1e-3)


def test_a_low_row_of_the_lowest_rung_weighs_what_its_neighbours_weigh() -> None:
    # Its interval leaves the ladder because it is low: less weight would select by the outcome.
    found = error_log(rows(["below", "inside", "inside", "inside", "inside"]))
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.3], rel=1e-3)


def test_without_neighbours_inside_a_row_weighs_the_least_that_any_does() -> None:
    found = error_log(rows(["inside", "inside", "inside", "inside", "below"]))
    assert found[-1] == pytest.approx(0.1, rel=1e-3)  # all that is known
    found = error_log(rows(["below", "below", "below", "below", "inside"]))
    assert found == pytest.approx([0.3] * 5, rel=1e-3)
