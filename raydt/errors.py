"""What can go wrong, said once, at the boundary.

A user's mistake is an `InputError`: it carries every problem found, not the first, and ends the
program with exit code 2. A run that failed is a `RunError` (exit code 1). Anything else that is
raised is a defect of raydt and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

FoundT = TypeVar("FoundT")
_MOST_CHARACTERS = 2000  # of what was found: a value may be a whole file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what it is, what is required of it, what was found."""

    what: str
    requirement: str
    found: str

    def __str__(self) -> str:
        found = self.found
        if len(found) > _MOST_CHARACTERS:
            found = f"{found[: _MOST_CHARACTERS // 2]} ... {found[-_MOST_CHARACTERS // 4 :]}"
        return f"{self.what}: {self.requirement}; found {found}"


class RaydtError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1


class RunError(RaydtError):
    """Work that was asked for correctly and did not succeed."""


class NoRoomError(RunError):
    """Memory was short for a batch, of which `windows_at_once` would fit; None: not even one."""

    def __init__(self, message: str, windows_at_once: int | None = None) -> None:
        super().__init__(message)
        self.windows_at_once = windows_at_once

    # As of `InputError`: with its number, also to another process.
    def __reduce__(self) -> tuple[type[NoRoomError], tuple[str, int | None]]:
        return (type(self), (str(self), self.windows_at_once))


class InputError(RaydtError):
    """Bad input: all problems that were found, in the order they were found."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "an InputError names at least one problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))

    # Exceptions cross process borders in Ray; the default pickling would pass the message
    # where the problems belong.
    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        return (type(self), (self.problems,))


def bad(what: str, requirement: str, found: object) -> InputError:
    """An `InputError` of a single problem."""
    return InputError([Problem(what, requirement, str(found))])


def with_problems(problems: Iterable[Problem], read: Callable[[], FoundT]) -> FoundT:
    """What `read` gives, if there are no `problems`: `InputError` of these and of what it raises,
    all at once."""
    known = list(problems)
    try:
        found = read()
    except InputError as error:
        raise InputError([*known, *error.problems]) from None
    if known:
        raise InputError(known)
    return found
