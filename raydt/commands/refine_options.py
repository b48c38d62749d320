"""`--until` and `--budget`: how far to narrow intervals, and how much time that may take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from raydt.errors import InputError, Problem, bad
from raydt.grid.refining import Refining
from raydt.units import parse_seconds

T = TypeVar("T")


def add_refine_options(group: argparse._ActionsContainer) -> None:
    """Add the two options."""
    group.add_argument(
        "--until",
        metavar="FACTOR",
        help="after the declared cells, add seeds where they narrow intervals most, until the ends "
        "of every D_E interval inside its ladder are within this factor, such as 1.5",
    )
    group.add_argument(
        "--budget",
        metavar="TIME",
        help="maximum training time of the added seeds, summed over slots, such as 30m or 2h [no "
        "limit]",
    )


def read_refining(until: str | None, budget: str | None) -> tuple[Refining | None, list[Problem]]:
    """Parse the two options: None if there is nothing to refine, and their problems."""
    problems: list[Problem] = []
    if until is None:
        if budget is not None:
            problems.append(Problem("--budget", "--until as well, which it limits", budget))
        return None, problems
    factor = _checked("--until", lambda: _factor(until), problems)
    seconds = None if budget is None else _checked("--budget", lambda: _budget(budget), problems)
    if factor is None or problems:
        return None, problems
    from analysis.refine.rule import PrecisionRule

    return Refining(factor, seconds, PrecisionRule(factor)), []


def _checked(option: str, read: Callable[[], T], problems: list[Problem]) -> T | None:
    try:
        return read()
    except InputError as error:
        problems += [Problem(option, each.expected, each.got) for each in error.problems]
        return None


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 < factor < float("inf"):
        raise bad("--until", "a factor of more than 1, such as 1.5", text)
    return factor


def _budget(text: str) -> float:
    seconds = parse_seconds(text)
    if seconds <= 0:
        raise bad("--budget", "a time above 0, such as 30m", text)
    return seconds
