"""Problems of the lines of a table of losses: the same one of many lines is shown once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raydt.errors import Problem

SHOWN_LINES = 10


@dataclass(frozen=True, kw_only=True)
class LineProblem(Problem):
    """A problem of one value of a line."""

    table: str
    unit: str  # of the number: line, row
    number: int
    name: str  # of the column


def grouped(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, with those of several lines that are the same as one: a label that is wrong in
    every line is one mistake."""
    alike: dict[tuple[str, ...], list[LineProblem]] = {}
    found: list[Problem | tuple[str, ...]] = []
    for problem in problems:
        if not isinstance(problem, LineProblem):
            found.append(problem)
            continue
        key = (problem.table, problem.name, problem.expected, problem.got)
        if key not in alike:
            found.append(key)
        alike.setdefault(key, []).append(problem)
    return [each if isinstance(each, Problem) else _of_lines(alike[each]) for each in found]


def _of_lines(alike: Sequence[LineProblem]) -> Problem:
    first, num = alike[0], len(alike)
    if num == 1:
        return first
    shown = ", ".join(str(problem.number) for problem in alike[:SHOWN_LINES])
    more = f" and {num - SHOWN_LINES} more" if num > SHOWN_LINES else ""
    return Problem(
        f"{first.table} {first.unit}s {shown}{more}: {first.name}", first.expected, first.got
    )
