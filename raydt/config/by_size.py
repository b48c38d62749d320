"""A number that depends on the size of a cell, as a step function: `["0=10", "6G=3"]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from raydt.errors import InputError
from raydt.units import format_bytes, parse_bytes


@dataclass(frozen=True, order=True)
class FromSize:
    """`value` applies from `num_bytes` up to the next row of the table."""

    num_bytes: int
    value: float


def value_at(table: Sequence[FromSize], size_bytes: int) -> float:
    """The value of the last row at or below `size_bytes`; below all rows, the first value."""
    return max((row for row in table if row.num_bytes <= size_bytes), default=table[0]).value


def _read_row(value: object) -> FromSize:
    if isinstance(value, FromSize):
        return value
    size, equals, number = str(value).rpartition("=")
    try:
        row = FromSize(parse_bytes(size) if equals else 0, float(number))
    except (InputError, ValueError) as error:
        raise PydanticCustomError(
            "row", "a number, or SIZE=NUMBER for cells of at least a size, such as 6G=3"
        ) from error
    if not 0 <= row.value < float("inf"):
        raise PydanticCustomError("row", "a finite number of at least 0")
    return row


def _write_row(row: FromSize) -> str:
    number = int(row.value) if row.value == int(row.value) else row.value
    return f"{format_bytes(row.num_bytes)}={number}"


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str | int | float) else value


def _in_order(rows: tuple[FromSize, ...]) -> tuple[FromSize, ...]:
    if len({row.num_bytes for row in rows}) < len(rows):
        raise PydanticCustomError("rows", "each size once")
    return tuple(sorted(rows))


Row = Annotated[FromSize, BeforeValidator(_read_row), PlainSerializer(_write_row, return_type=str)]
BySize = Annotated[tuple[Row, ...], BeforeValidator(_as_tuple), AfterValidator(_in_order)]
