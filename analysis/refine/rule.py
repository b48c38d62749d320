"""Which seed of which cell narrows the widest interval of D_E most per second of training.

It looks only at the width of intervals, never at where they lie: whether a D_T differs from 0, or
one source from another, plays no part, so repeated looks do not bias the result
(docs/statistics.md says why).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pandas as pd

from analysis.refine.purchase import Offer, Stock, group_of_cell, offers
from analysis.refine.widths import NUM_RESAMPLES, Group, Width, Widths, measured_widths
from raydt.grid.cell import Cell
from raydt.grid.refining import Choice, Known
from raydt.tracking.schema import Stage, Status

# How much more the widest counts: power of the variance over the wanted variance.
_POWER = 2.0
_NOT_READ = (Stage.PRETRAIN, Stage.JOINT)  # no D_E comes of their losses
# Enough to estimate a plan; more would be out of reach anyway.
_MOST_PURCHASES = 2000


@dataclass(frozen=True)
class PrecisionRule:
    """See `raydt.grid.refining.Rule`. until: the factor between the ends of an interval."""

    until: float
    confidence: float = 0.9
    num_resamples: int = NUM_RESAMPLES

    def choose(self, known: Known, max_seconds: float = inf) -> Choice:
        """See `Rule`."""
        state = _state(known, self)
        return state.bought(max_seconds) if state is not None else Choice((), "", 1.0)

    def forecast(self, known: Known, max_seconds: float = inf) -> list[Choice]:
        """See `Rule`. Assumes that intervals stay where they are."""
        state = _state(known, self)
        found: list[Choice] = []
        left = max_seconds
        while state is not None and len(found) < _MOST_PURCHASES:
            choice = state.bought(left)
            seconds = sum(map(known.seconds, choice.cells))
            choice = replace(choice, seconds=seconds)
            left -= seconds
            found.append(choice)
            if not choice.cells:
                break
        return found


def _state(known: Known, rule: PrecisionRule) -> _State | None:
    cells = list(known.cells)
    table = cell_frame(cells, known)
    if table.empty:
        return None
    widths = measured_widths(table, rule.confidence, rule.num_resamples)
    return _State(known, widths, float(np.log(rule.until)), cells, table)


def cell_frame(cells: Iterable[Cell], known: Known) -> pd.DataFrame:
    """The cells that are done, with the columns that `cell_means` reads."""
    rows = []
    for cell in cells:
        result = known.results.get(cell.cell_id)
        if result is None or result.status is not Status.DONE or cell.stage in _NOT_READ:
            continue
        group = dict(
            zip(
                ("model", "stage", "source", "target", "size_bytes"),
                group_of_cell(cell),
                strict=True,
            )
        )
        rows.append(
            {
                **group,
                "size": cell.size.label,
                "seed": cell.seed,
                "status": Status.DONE.value,
                "test_loss": result.test_loss,
                "unfinished": np.nan if result.unfinished is None else result.unfinished,
            }
        )
    return pd.DataFrame(rows)


class _State:
    """Widths as they will be when all added cells are done."""

    def __init__(
        self, known: Known, widths: Widths, log_until: float, cells: list[Cell], done: pd.DataFrame
    ) -> None:
        self._known = known
        self._widths = widths
        self._wanted_variance = (log_until / widths.span) ** 2
        self._stock = Stock.of(cells)
        self._counts: dict[Group, int] = {}
        lost = known.given_up
        for group, those in self._stock.of_group.items():
            self._counts[group] = sum(cell.cell_id not in lost for cell in those)
        # Cells that repeatedly fail to give a loss are not requested again.
        self._stuck = {
            group
            for group, those in self._stock.of_group.items()
            if any(cell.cell_id in lost for cell in those)
        }
        measured = done.groupby(
            ["model", "stage", "source", "target", "size_bytes"], dropna=False
        ).size()
        now = {
            (m, s, _text(a), _text(t), int(b)): int(n) for (m, s, a, t, b), n in measured.items()
        }
        self._lines = [_Line(one, widths, now) for one in widths.each]
        self.unreachable = tuple(
            f"{line.width.name}: no number of seeds brings it under "
            f"{np.exp(widths.span * np.sqrt(line.rest)):.2f}-fold, because its rungs are too far "
            "apart"
            for line in self._lines
            if line.rest >= self._wanted_variance
        )
        self._lines = [one for one in self._lines if one.rest < self._wanted_variance]

    def bought(self, max_seconds: float) -> Choice:
        """The best offer within the time limit, which counts as done from now on."""
        open_lines = [one for one in self._lines if self._variance(one) > self._wanted_variance]
        widest = max(self._lines, key=self._variance, default=None)
        factor = 1.0 if widest is None else self._factor(widest)
        if widest is None or not open_lines:
            return Choice((), "", factor, self.unreachable)
        wanted = {g for one in open_lines for g in one.shares} - self._stuck
        before = self._distance()
        best: tuple[float, tuple[Cell, ...]] = (0.0, ())
        for offer in offers(self._stock, self._known, wanted):
            rate, cells = self._priced(offer, before, max_seconds)
            if rate > best[0]:
                best = (rate, cells)
        if not best[1]:
            return Choice((), "", factor, self.unreachable)
        why = f"{widest.width.name} was {factor:.2f}-fold wide"
        for cell in best[1]:
            self._stock.add(cell)
            self._count(cell, 1)
        return Choice(best[1], why, factor, self.unreachable)

    def _priced(
        self, offer: Offer, before: float, max_seconds: float
    ) -> tuple[float, tuple[Cell, ...]]:
        """Reduction of distance per second for the best part of an offer."""
        chosen = list(offer.base)
        seconds = sum(map(self._known.seconds, chosen))
        if seconds > max_seconds:
            return 0.0, ()
        for cell in chosen:
            self._count(cell, 1)
        gained = before - self._distance()
        best = (gained / seconds, tuple(chosen))
        rest = list(offer.more)
        while rest:
            tried = []
            for cell in rest:
                self._count(cell, 1)
                tried.append(before - self._distance() - gained)
                self._count(cell, -1)
            rates = [
                gain / self._known.seconds(cell) for gain, cell in zip(tried, rest, strict=True)
            ]
            place = int(np.argmax(rates))
            cell = rest.pop(place)
            if tried[place] <= 0:
                break
            if seconds + self._known.seconds(cell) > max_seconds:
                continue
            chosen.append(cell)
            self._count(cell, 1)
            gained += tried[place]
            seconds += self._known.seconds(cell)
            if gained / seconds >= best[0]:
                best = (gained / seconds, tuple(chosen))
        for cell in chosen:
            self._count(cell, -1)
        return best

    def _distance(self) -> float:
        """Distance from the goal that all intervals are narrow enough; the widest counts most."""
        over = np.array([self._variance(one) for one in self._lines]) / self._wanted_variance
        return float((np.maximum(over, 1.0) ** _POWER - 1.0).sum())

    def _variance(self, line: _Line) -> float:
        return line.rest + sum(
            share * line.now[group] / self._counts[group] for group, share in line.shares.items()
        )

    def _factor(self, line: _Line) -> float:
        return float(np.exp(self._widths.span * np.sqrt(self._variance(line))))

    def _count(self, cell: Cell, by: int) -> None:
        if cell.stage is not Stage.PRETRAIN:
            self._counts[group_of_cell(cell)] += by


class _Line:
    """The variance of a log D_E behind its interval, in parts.

    shares: by group, as measured with `now` runs of it; rest: the part that no seed reduces.
    """

    def __init__(self, width: Width, widths: Widths, counts: dict[Group, int]) -> None:
        self.width = width
        variance = (width.log_factor / widths.span) ** 2
        self.rest = min(width.rest, variance)
        self.now = {group: counts[group] for group in width.slopes}
        parts = {
            group: slope**2 * widths.of_run(group) / counts[group]
            for group, slope in width.slopes.items()
        }
        total = sum(parts.values())
        scale = (variance - self.rest) / total if total > 0 else 0.0
        self.shares = {group: part * scale for group, part in parts.items()}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
