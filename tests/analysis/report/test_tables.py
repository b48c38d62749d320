"""What the page says of the tests of laws."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.laws.one_law import BOTH
from analysis.report.tables import one_law


@pytest.mark.parametrize(
    ("p_value", "least_p", "said"),
    [
        (0.01, 0.001, "One law does not hold for all sources (p 0.01); the same k: p 0.02."),
        (0.4, 0.001, "No evidence against one law for all sources (p 0.4)"),
        (0.17, 0.17, "Too few languages to decide (p 0.17; the smallest possible is 0.17)"),
        (float("nan"), 0.1, "cannot be tested here: why"),
    ],
)
def test_one_law_in_words(p_value: float, least_p: float, said: str) -> None:
    row = {"level": "pooled", "model": "nano", "target": "all", "least_p": least_p, "note": "why"}
    tests = pd.DataFrame(
        [{**row, "tested": "k", "p_value": 0.02}, {**row, "tested": BOTH, "p_value": p_value}]
    )
    part = one_law(tests, several_models=False)
    assert part is not None
    (sentence,) = part.sentences
    assert said in sentence
    assert one_law(tests.head(0), several_models=False) is None
