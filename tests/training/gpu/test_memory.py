from __future__ import annotations

import pytest

from raydt.training.gpu.memory import MAX_BYTES_AT_ONCE, windows_at_once

MB, GB = 10**6, 10**9


def peak_bytes(num_windows: int) -> int:
    """As counted of the model `small`: some 400 MB a window, and a part that is always there."""
    return 300 * MB + 400 * MB * num_windows


@pytest.mark.parametrize(
    ("free_bytes", "num_windows", "window_bytes", "expected"),
    [
        (24 * GB, 512, 1024, 48),  # 50 fit into 85 %: eleven parts of 46 or 47
        (80 * GB, 512, 1024, 128),  # more would gain nothing
        (80 * GB, 96, 1024, 96),  # all of it
        (1 * GB, 512, 1024, 1),
        (0, 512, 1024, 1),  # the step says so, if even that is too much
        (80 * GB, 1, 1024, 1),
    ],
)
def test_a_part_is_as_large_as_fits_and_pays(
    free_bytes: int, num_windows: int, window_bytes: int, expected: int
) -> None:
    found = windows_at_once(peak_bytes, free_bytes, num_windows, window_bytes)
    assert found <= expected
    assert found * window_bytes <= max(MAX_BYTES_AT_ONCE, window_bytes)
    assert found == 1 or peak_bytes(found) <= 0.85 * free_bytes
    # As few parts as what fits allows, and these of one size.
    num_parts = -(-num_windows // expected)
    assert found == -(-num_windows // num_parts)


def test_a_single_window_is_not_measured() -> None:
    def fails(_: int) -> int:
        raise AssertionError("nothing to find out")

    assert windows_at_once(fails, GB, 1, 1024) == 1
