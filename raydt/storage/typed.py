"""JSON files as typed values. Files are written atomically, so an invalid one was damaged or
edited.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from raydt.errors import RunError

ValueT = TypeVar("ValueT")


def typed(kind: type[ValueT], value: Any, where: str, what: str) -> ValueT:
    """Parsed JSON, or its text as bytes, as a value of type `kind`; `RunError` if it is invalid.

    `where` is the file, and `what` it should contain.
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
            f"{where}: expected {what}, got a damaged file ({place}{': ' if place else ''}"
            f"{problem['msg']}); restore or remove it"
        ) from None
    return found


@cache  # making one takes as long as three uses, and a sweep has many cells
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
