"""Words of a launch laid over a test's usual ones: raydt itself refuses an option given twice."""

from __future__ import annotations

from collections.abc import Iterable

from raydt.config.fields import fields_meant_by


def later_wins(words: Iterable[str]) -> list[str]:
    """`words` with each option once, as it is given last; what stands before the options stays."""
    before: list[str] = []
    values = before
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            option = word.partition("=")[0]
            fields = fields_meant_by(option)
            key = fields[0].dotted if fields else option
            values = options[key] = []
        values.append(word)
    return before + [word for given in options.values() for word in given]
