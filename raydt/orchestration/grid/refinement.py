"""Seeds that are added to a sweep while it runs: chosen by the rule, and recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from statistics import median

from raydt.config.sweep import Sweep
from raydt.errors import InputError
from raydt.grid.added import AddedCell, Round, read_rounds, sweep_cells, write_rounds
from raydt.grid.cell import Cell
from raydt.grid.cost import cell_cost, kind_of, seen_bytes
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder, is_cancelled
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.refining import Choice, Known, Refined, Refining
from raydt.grid.result import Result, read_result
from raydt.tracking.schema import Status

ENOUGH = "every interval that seeds can narrow is narrow enough"
NO_BUDGET = "the rest of the budget is too small for a cell that would narrow an interval"
NOTHING_LEFT = "the cells that would narrow the remaining intervals failed before"
# A zeroshot does not train, but its evaluation takes time.
_MIN_SECONDS = 0.05


class Refinement:
    """The refinement of one launch. `cells` has all cells, and grows; those in `gone` will have no
    result. `seconds` is the expected training time of a cell before one of its kind is done;
    `check_held` raises if the launch no longer holds its sweep."""

    def __init__(
        self,
        refining: Refining,
        sweep: Sweep,
        cells: Mapping[str, Cell],
        results: Mapping[str, Result],
        gone: Iterable[str],
        seconds: Callable[[Cell], float],
        check_held: Callable[[], None],
    ) -> None:
        self._refining = refining
        self._sweep = sweep
        self._cells = cells
        self._results = dict(results)
        self._gone = set(gone)
        self._expected = seconds
        self._check_held = check_held
        self._widest = 1.0
        self._unreachable: tuple[str, ...] = ()
        self._rounds = read_rounds(sweep)
        asked = refining.until, refining.budget_seconds
        if not self._rounds or not self._rounds[-1].continues(*asked):
            self._rounds.append(Round(until=asked[0], budget_seconds=asked[1]))

    def next_cells(self, lost: Iterable[str] = ()) -> list[AddedCell]:
        """Choose and record the next cells; empty if the refinement has ended, or must wait for
        running cells. `lost` cells will have no result."""
        self._gone.update(lost)
        self._look()
        try:
            choice = self._refining.rule.choose(self._known(), self._budget - self._spent())
        except InputError as error:
            if not self._running():
                self._write([], "; ".join(map(str, error.problems)))
            return []
        self._widest, self._unreachable = choice.widest, choice.unreachable
        added = [AddedCell.of(cell, choice.why) for cell in choice.cells]
        if added:
            self._write(added, None)
        elif not self._running():  # else running cells may still turn out wider than expected
            self._write([], self._why_no_more(choice))
        return added

    def _why_no_more(self, choice: Choice) -> str:
        if choice.widest <= self._refining.until:
            return ENOUGH
        return NOTHING_LEFT if self._budget == inf else NO_BUDGET

    def forecast(self) -> list[Choice]:
        """All choices of the rule that are to be expected within the rest of the budget."""
        left = self._budget - self._spent()
        try:
            return self._refining.rule.forecast(self._known(), left)
        except InputError:
            return []

    @property
    def refined(self) -> Refined:
        """The outcome so far."""
        last = self._rounds[-1]
        cells = tuple(added.cell for added in last.cells)
        return Refined(cells, self._widest, last.outcome, self._unreachable)

    @property
    def _budget(self) -> float:
        budget = self._refining.budget_seconds
        return inf if budget is None else budget

    def _seconds(self, cell: Cell) -> float:
        """The median training time of its kind, or the expected one before the first is done."""
        kind = kind_of(cell)
        took = [
            _taken(self._results[cell_id])
            for cell_id, other in self._cells.items()
            if cell_id in self._results and kind_of(other) == kind
        ]
        return max(median(took) if took else self._expected(cell), _MIN_SECONDS)

    def _look(self) -> None:
        """Read new results."""
        for cell_id in self._cells:
            if cell_id not in self._results and cell_id not in self._gone:
                folder = cell_folder(self._sweep, cell_id)
                result = read_result(folder, RESULT)
                if result is not None:
                    self._results[cell_id] = result
                elif is_cancelled(folder):
                    self._gone.add(cell_id)

    def _known(self) -> Known:
        lost = {c for c, result in self._results.items() if result.status is not Status.DONE}
        return Known(
            cells=list(self._cells.values()),
            results=self._results,
            given_up=frozenset(lost | self._gone),
            seconds=self._seconds,
            can_start=self._has_weights,
        )

    def _has_weights(self, pretrain: Cell) -> bool:
        result = self._results.get(pretrain.cell_id)
        return result is None or has_weights(self._sweep, result)

    def _running(self) -> bool:
        known = self._results.keys() | self._gone
        return any(cell_id not in known for cell_id in self._cells)

    def _spent(self) -> float:
        """Training seconds of the added cells; expected ones for running cells."""
        spent = 0.0
        for added in self._rounds[-1].cells:
            result = self._results.get(added.cell.cell_id)
            if result is not None:
                spent += _taken(result)
            elif added.cell.cell_id not in self._gone:
                spent += self._seconds(added.cell)
        return spent

    def _write(self, added: Sequence[AddedCell], outcome: str | None) -> None:
        self._check_held()
        last = self._rounds[-1]
        cells = (*last.cells, *added)
        self._rounds[-1] = last.model_copy(update={"cells": cells, "outcome": outcome})
        if cells:
            write_rounds(self._sweep, self._rounds)


def forecast(refining: Refining, sweep: Sweep) -> list[Choice]:
    """The choices that a refinement is expected to make, by the done cells; empty if these do not
    show the noise yet."""
    all_cells = sweep_cells(sweep)
    cells = {cell.cell_id: cell for cell in all_cells}
    ledger = Ledger.read(sweep, all_cells)
    rates, seen = ledger.flops_per_second(sweep), seen_bytes(all_cells, ledger.results)
    refinement = Refinement(
        refining,
        sweep,
        cells,
        ledger.results,
        ledger.cancelled,
        lambda cell: cell_cost(cell, sweep, rates, seen).seconds,
        lambda: None,
    )
    return refinement.forecast()


def _taken(result: Result) -> float:
    return result.training_seconds * result.num_ranks


def has_weights(sweep: Sweep, result: Result) -> bool:
    """Whether the weights of a done cell are available for more children."""
    if result.status is not Status.DONE:
        return False
    return attempt_folder(cell_folder(sweep, result.cell_id), result.attempt).exists(WEIGHTS)
