"""A size as a field of a sweep: parsed from text or a number, serialized as text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from raydt.errors import InputError
from raydt.units import Size, format_bytes, parse_size


def _read_size(value: object) -> Size:
    if isinstance(value, Size):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Size(value, format_bytes(value))
    try:
        return parse_size(str(value))
    except InputError as error:
        # Pydantic collects only errors of its own types.
        raise PydanticCustomError(
            "size", "{expected}", {"expected": error.problems[0].expected}
        ) from error


def _write_size(size: Size) -> str:
    plain = format_bytes(size.num_bytes)
    return plain if plain == size.label else f"{size.label}={size.num_bytes}"


SizeField = Annotated[
    Size, BeforeValidator(_read_size), PlainSerializer(_write_size, return_type=str)
]


def _read_size_or_auto(value: object) -> Size | None:
    return None if value is None or value == AUTO else _read_size(value)


def _write_size_or_auto(size: Size | None) -> str | None:
    return None if size is None else _write_size(size)


AUTO = "auto"  # stands for None in files
OptionalSize = Annotated[
    Size | None,
    BeforeValidator(_read_size_or_auto),
    PlainSerializer(_write_size_or_auto, return_type=str | None),
]
