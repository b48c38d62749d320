"""The text after "expected" for pydantic's own errors."""

from __future__ import annotations

from pydantic_core import ErrorDetails

_KINDS = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
}
# By the key of the limit in the error's context.
_LIMITS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def expected_of(item: ErrorDetails, name: str) -> str:
    """The text for an error; raydt's own checks bring theirs. `name` is the dotted field name."""
    context = item.get("ctx", {})
    for limit, words in _LIMITS.items():
        if limit in context:
            number = context[limit]
            return f"{words} {int(number) if number == int(number) else number}"
    if item["type"] == "literal_error":
        return str(context["expected"]).replace("'", "")
    if item["type"] == "too_short":
        return "at least one value"
    kind, _, of_pydantic = item["type"].partition("_")  # raydt's own types are single words
    if not of_pydantic:
        return item["msg"]
    if kind == "model":
        return f"a table [{name}]"
    return _KINDS.get(kind) or item["msg"].removeprefix("Value error, ")
