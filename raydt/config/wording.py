"""What a field asks for, where pydantic says it in words of its own."""

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
# By the name of the limit in the error's context.
_LIMITS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def requirement_of(item: ErrorDetails, name: str) -> str:
    """In raydt's words; raydt's own checks have them already. `name` is the field's, dotted."""
    context = item.get("ctx", {})
    for limit, words in _LIMITS.items():
        if limit in context:
            number = context[limit]
            return f"{words} {int(number) if number == int(number) else number}"
    if item["type"] == "literal_error":
        return str(context["expected"]).replace("'", "")
    if item["type"] == "too_short":
        return "at least one value"
    kind, _, of_pydantic = item["type"].partition("_")  # raydt's own types are one word each
    if not of_pydantic:
        return item["msg"]
    if kind == "model":
        return f"a table, as [{name}]"
    return _KINDS.get(kind) or item["msg"].removeprefix("Value error, ")
