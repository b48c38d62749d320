from __future__ import annotations

import pytest

from raydt.terminal.amounts import duration, short


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (250, "4 min 10 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (3600 * 76, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (3.72e11, "3.7e11"), (8.19e-7, "8.2e-7"), (12, "12"), (0.25, "0.25"), (640, "640")],
)
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text
