"""The errors that users see.

A user's mistake is an `InputError`: it carries every problem found, not only the first, and ends
the program with exit code 2. A run that failed is a `RunError` (exit code 1). Any other exception
is a bug in raydt and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_MAX_CHARACTERS = 2000  # shown of a value, which may be a whole file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `what` it is about, what was `expected` and what came instead."""

    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        got = self.got
        if len(got) > _MAX_CHARACTERS:
            got = f"{got[: _MAX_CHARACTERS // 2]} ... {got[-_MAX_CHARACTERS // 4 :]}"
        return f"{self.what}: expected {self.expected}, got {got}"


@dataclass(frozen=True)
class UnknownName(Problem):
    """A name that raydt does not know. `got` is its kind, such as `option`, and `expected` a hint,
    or empty."""

    def __str__(self) -> str:
        return f"{self.what}: unknown {self.got}{f' ({self.expected})' if self.expected else ''}"


class RaydtError(Exception):
    """Base class of the errors that are shown without a traceback."""

    exit_code = 1


class RunError(RaydtError):
    """The input was right, and the work failed."""


class BatchTooLargeError(RunError):
    """A batch does not fit into memory. `windows_at_once` of its windows would; None: not one."""

    def __init__(self, message: str, windows_at_once: int | None = None) -> None:
        super().__init__(message)
        self.windows_at_once = windows_at_once

    # As for `InputError`: the number must survive pickling.
    def __reduce__(self) -> tuple[type[BatchTooLargeError], tuple[str, int | None]]:
        return (type(self), (str(self), self.windows_at_once))


class InputError(RaydtError):
    """Bad input, with all problems in the order in which they were found."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "an InputError names at least one problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))

    # Ray pickles exceptions. The default would pass the message as the argument `problems`.
    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        return (type(self), (self.problems,))


def bad(what: str, expected: str, got: object) -> InputError:
    """An `InputError` of a single problem."""
    return InputError([Problem(what, expected, str(got))])


def with_problems(problems: Iterable[Problem], read: Callable[[], T]) -> T:
    """Return `read()`. If there are `problems`, or it raises an `InputError`, raise one
    `InputError` of all of them."""
    known = list(problems)
    try:
        value = read()
    except InputError as error:
        raise InputError([*known, *error.problems]) from None
    if known:
        raise InputError(known)
    return value
