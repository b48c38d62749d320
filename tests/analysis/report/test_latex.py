"""LaTeX is what the Styler of pandas makes, which is slow and otherwise right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.report.latex import latex

ODD = pd.DataFrame(
    {
        "a_b%": ["x\\ y", "~ ~", "^ ^a", "a\\", "$&#{}~^_\\\\ "],
        "whole": [1, 2, 3, 4, 5],
        "number": [1.5, np.nan, np.inf, -np.inf, -1e-9],
        "flag": [True, False, True, True, False],
        "mixed": [None, "a", 3, 2.5, np.nan],
        "~ c": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        "text": ["", "two\nlines", "é", "<x>", "a & b"],
    }
)


@pytest.mark.parametrize("table", [ODD, ODD.iloc[:0], ODD.astype({"text": "str"})])
def test_a_table_is_as_the_styler_has_it(table: pd.DataFrame) -> None:
    style = table.style.hide(axis="index").format(escape="latex", na_rep="--", precision=4)
    expected = style.format_index(escape="latex", axis=1).to_latex(hrules=True)
    assert latex(table) == expected
