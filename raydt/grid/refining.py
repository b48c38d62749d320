"""The interface between a launch that adds seeds and the rule that chooses them.

The rule reads intervals, so it is in `analysis.refine`, which `raydt` does not import: the command
passes it in.
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
    """What is known when the rule chooses the next cell.

    cells: all cells, ended or not; results: those of ended cells; given_up: cells that will never
    have a loss, so that no more of their kind are chosen; seconds: expected training time of a
    cell; can_start: whether a pretrain's weights are available for more finetunes.
    """

    cells: Iterable[Cell]
    results: Mapping[str, Result]
    given_up: frozenset[str]
    seconds: Seconds
    can_start: Callable[[Cell], bool] = lambda _: True


@dataclass(frozen=True)
class Choice:
    """Cells to add now, parents first, and why; empty if there is nothing to add.

    widest: the widest interval of D_E inside its ladder that more seeds can narrow, as the ratio of
    its ends (1.0 if there is none); unreachable: intervals that seeds cannot narrow far enough, one
    sentence each.
    """

    cells: tuple[Cell, ...]
    why: str
    widest: float
    unreachable: tuple[str, ...] = ()
    seconds: float = 0.0


class Rule(Protocol):
    """Chooses which seeds of which cells come next."""

    def choose(self, known: Known, max_seconds: float = inf) -> Choice:
        """One choice: a cell, or a pretrain with finetunes of it, that takes at most `max_seconds`.
        Cells without a result yet are assumed to be done."""

    def forecast(self, known: Known, max_seconds: float = inf) -> list[Choice]:
        """All choices to be expected within a budget, by the noise so far, each with its seconds;
        the last one has no cells."""


@dataclass(frozen=True)
class Refined:
    """The outcome of a refinement: the cells that it added, including those of the launches that it
    resumed; the widest interval, as in `Choice`; why it ended (None: it was interrupted)."""

    cells: tuple[Cell, ...]
    widest: float
    outcome: str | None
    unreachable: tuple[str, ...]


@dataclass(frozen=True)
class Refining:
    """What a launch does after its declared cells: add seeds until every interval of D_E inside its
    ladder is within a factor, or the budget of training seconds is used up."""

    until: float
    budget_seconds: float | None
    rule: Rule
