from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.report.maps import _with_a_sign


def test_a_bound_that_leaves_the_sign_open_has_no_colour() -> None:
    rows = pd.DataFrame({"range": ["below", "below", "above", "above", "inside"]})
    values = pd.Series([2.0, -2.0, 2.0, -2.0, 1.0])
    shown = _with_a_sign(rows, values).to_numpy()
    np.testing.assert_array_equal(shown, [np.nan, -2.0, 2.0, np.nan, 1.0])
