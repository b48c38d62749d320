from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydt.errors import InputError
from raydt.units import Size, approximate_bytes, format_bytes, parse_bytes, parse_size


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("8k", 8_000),
        ("8kB", 8_000),
        ("1.5M", 1_500_000),
        ("6_815_744", 6_815_744),
        ("2GiB", 2 * 2**30),
        ("6M", 6_000_000),
        ("0", 0),
        (" 3 MB ", 3_000_000),
    ],
)
def test_sizes_are_read_as_powers_of_ten(text: str, num_bytes: int) -> None:
    assert parse_bytes(text) == num_bytes


@pytest.mark.parametrize("text", ["", "k", "6x", "-5", "1.5", "1e6", "six", "6 M M", "0.0001k"])
def test_what_is_no_size_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_bytes(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 10**13))
def test_a_label_reads_back_as_its_bytes(num_bytes: int) -> None:
    assert parse_bytes(format_bytes(num_bytes)) == num_bytes


def test_a_label_is_only_a_name() -> None:
    assert parse_size("6M=6815744") == Size(6_815_744, "6M")
    assert parse_size("6M") == Size(6_000_000, "6M")
    with pytest.raises(InputError, match="label"):
        parse_size("6 M=6815744")


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0"), (131_942, "132k"), (-1_234.5, "-1.23k"), (999_999, "1M"), (6e9, "6G"), (12, "12")],
)
def test_amounts_for_people(num_bytes: float, text: str) -> None:
    assert approximate_bytes(num_bytes) == text


def test_a_search_on_gpus_is_trillions_of_bytes() -> None:
    assert approximate_bytes(3.51e12) == "3.51T"
    assert parse_bytes("2TB") == 2 * 10**12
    assert format_bytes(2 * 10**12) == "2T"
