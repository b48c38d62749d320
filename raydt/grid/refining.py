"""What a launch that adds seeds asks of its rule, and what the rule answers.

The rule itself reads intervals, so it is in `analysis.refine`, which `raydt` does not import: the
command passes it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

from raydt.grid.cell import Cell
from raydt.grid.result import Result

Seconds = Callable[[Cell], float]


@dataclass(frozen=True)
class Known:
    """What is known when the next cell is asked for.

    cells: every cell there is or is to be; results: of those that ended; given_up: cells that will
    have no loss, so that nothing more of their kind is asked for; seconds: that a cell is expected
    to train; can_start: whether a pretrain's weights are there for more finetunes.
    """

    cells: Iterable[Cell]
    results: Mapping[str, Result]
    given_up: frozenset[str]
    seconds: Seconds
    can_start: Callable[[Cell], bool] = lambda _: True


@dataclass(frozen=True)
class Choice:
    """Cells to add now, parents first, and why; none where there is nothing to add.

    widest: the widest interval of D_E inside its ladder that more seeds may narrow, as the factor
    between its ends (1.0 where there is none); unreachable: what seeds cannot narrow far enough,
    a sentence each.
    """

    cells: tuple[Cell, ...]
    why: str
    widest: float
    unreachable: tuple[str, ...] = ()
    seconds: float = 0.0


class Rule(Protocol):
    """Which seeds of which cells come next."""

    def choose(self, known: Known, most_seconds: float = inf) -> Choice:
        """One purchase: a cell, or a pretrain with finetunes of it, that takes no longer than
        `most_seconds`. Cells that have no result yet are taken for done."""

    def forecast(self, known: Known, most_seconds: float = inf) -> list[Choice]:
        """All purchases that the noise so far leads to expect, within a budget, each with the
        seconds that it takes; the last has no cells."""


@dataclass(frozen=True)
class Refined:
    """What a refinement came to: the cells that it added, those of launches that it resumes among
    them; the widest interval as of `Choice`, and why it ended (None: it was cut off)."""

    cells: tuple[Cell, ...]
    widest: float
    outcome: str | None
    unreachable: tuple[str, ...]


@dataclass(frozen=True)
class Refining:
    """What a launch is to do after its declared cells: add seeds until every interval of D_E inside
    its ladder is within a factor, or so many seconds of training are used up."""

    until: float
    budget_seconds: float | None
    rule: Rule
