"""JSON of a storage as typed values. Files are written whole, so one that is something else was
damaged, or changed by somebody."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from raydt.errors import RunError

ValueT = TypeVar("ValueT")


def typed(kind: type[ValueT], value: Any, where: str, what: str) -> ValueT:
    """JSON that was read, or its text as bytes, as a value of `kind`; `RunError` if it is none.

    `where` is the file, and `what` it has to hold.
    """
    reader = _reader(kind)  # type: ignore[arg-type]  # a type is hashable
    try:
        found: ValueT = (
            reader.validate_json(value)
            if isinstance(value, bytes)
            else reader.validate_python(value)
        )
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise RunError(
            f"{where}: expected {what}, found damage ({place}{': ' if place else ''}"
            f"{problem['msg']}); remove the file or restore it"
        ) from None
    return found


@cache  # to make one takes as long as three readings, and a sweep has many cells
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
