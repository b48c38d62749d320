"""What a refinement asks, writes down and resumes, on a real storage, with a rule of the test."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import InputError, bad
from raydt.grid.added import read_rounds
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT
from raydt.grid.ledger import cell_folder
from raydt.grid.refining import Choice, Known, Refining
from raydt.grid.result import Result, write_result
from raydt.orchestration.grid.refinement import ENOUGH, NO_BUDGET, Refinement
from raydt.tracking.schema import Stage, Status
from tests.grid.results import result_of


class NextSeed:
    """Wants seeds 2, 3, ... of the first scratch cell up to one, as long as they fit."""

    def __init__(self, last: int = 99, error: InputError | None = None) -> None:
        self.last, self.error = last, error
        self.told: list[Known] = []
        self.left: list[float] = []

    def choose(self, known: Known, max_seconds: float = inf) -> Choice:
        self.told.append(known)
        self.left.append(max_seconds)
        if self.error is not None:
            raise self.error
        first = next(cell for cell in known.cells if cell.stage is Stage.SCRATCH)
        seed = 1 + max(cell.seed for cell in known.cells if cell.stage is Stage.SCRATCH)
        cell = replace(first, seed=seed)
        if seed > self.last:
            return Choice((), "", 1.1)
        if known.seconds(cell) > max_seconds:
            return Choice((), "", 3.0)
        return Choice((cell,), "it was wide", 3.0)

    def forecast(self, known: Known, max_seconds: float = inf) -> list[Choice]:
        return [self.choose(known, max_seconds)]


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.sweep = Sweep(
            sources=("related",),
            targets=("alba",),
            sizes=("2k",),
            seeds=(0, 1),
            storage=str(tmp_path),
        )
        self.cells = {cell.cell_id: cell for cell in build_grid(self.sweep)}
        self.results: dict[str, Result] = {}
        for cell in self.cells.values():
            self.results[cell.cell_id] = result_of(cell.cell_id, training_seconds=2.0)

    def refinement(self, rule: NextSeed, budget: float | None = None) -> Refinement:
        asked = Refining(1.5, budget, rule)
        return Refinement(
            asked, self.sweep, self.cells, self.results, (), lambda cell: 7.0, lambda: None
        )

    def add(self, refinement: Refinement, lost: frozenset[str] = frozenset()) -> list[Cell]:
        cells = [added.cell for added in refinement.next_cells(lost)]
        self.cells |= {cell.cell_id: cell for cell in cells}
        return cells

    def end(self, cell: Cell, seconds: float, status: Status = Status.DONE) -> None:
        result = result_of(cell.cell_id, status, training_seconds=seconds)
        write_result(cell_folder(self.sweep, cell.cell_id), RESULT, result)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_added_is_written_down_before_it_is_trained(world: World) -> None:
    refinement = world.refinement(NextSeed())
    (cell,) = world.add(refinement)
    (written,) = read_rounds(world.sweep)[0].cells
    assert written.cell == cell
    assert written.why == "it was wide"
    assert refinement.refined.cells == (cell,)


def test_it_ends_when_nothing_is_wanted_and_nothing_runs(world: World) -> None:
    refinement = world.refinement(NextSeed(last=2))
    (cell,) = world.add(refinement)
    assert not world.add(refinement)
    assert refinement.refined.outcome is None, "what runs may come out wider"
    world.end(cell, 1.0)
    assert not world.add(refinement)
    assert refinement.refined.outcome == ENOUGH
    assert read_rounds(world.sweep)[0].outcome == ENOUGH


def test_a_budget_counts_what_cells_took_and_what_runs_is_expected_to(world: World) -> None:
    rule = NextSeed()
    refinement = world.refinement(rule, budget=7.0)
    (first,) = world.add(refinement)
    (second,) = world.add(refinement)
    assert rule.left == [7.0, 5.0], "at the median of its kind, 2 s"
    world.end(first, 4.5)
    world.end(second, 1.0)
    assert not world.add(refinement)
    assert rule.left[-1] == pytest.approx(1.5)
    assert refinement.refined.outcome == NO_BUDGET


def test_who_resumes_has_spent_what_was_spent_and_who_asks_anew_has_not(world: World) -> None:
    first = world.refinement(NextSeed(), budget=10.0)
    (cell,) = world.add(first)
    world.end(cell, 3.0)
    world.results[cell.cell_id] = result_of(cell.cell_id, training_seconds=3.0)
    resumed = NextSeed()
    world.add(world.refinement(resumed, budget=10.0))
    assert resumed.left == [7.0]
    assert len(read_rounds(world.sweep)) == 1
    anew = NextSeed()
    world.add(world.refinement(anew, budget=9.0))
    assert anew.left == [9.0]
    assert len(read_rounds(world.sweep)) == 2


def test_what_came_to_nothing_is_told_to_the_rule_and_not_waited_for(world: World) -> None:
    rule = NextSeed(last=3)
    refinement = world.refinement(rule)
    (first,) = world.add(refinement)
    (second,) = world.add(refinement)
    world.end(first, 1.0, Status.DIVERGED)
    assert not world.add(refinement, frozenset({second.cell_id}))
    assert rule.told[-1].given_up == {first.cell_id, second.cell_id}
    assert refinement.refined.outcome == ENOUGH


def test_where_the_noise_is_unknown_it_ends_and_says_so(world: World) -> None:
    refinement = world.refinement(NextSeed(error=bad("--until", "two seeds", "one")))
    assert not world.add(refinement)
    assert "two seeds" in str(refinement.refined.outcome)
    assert not world.sweep.folder.exists("added.json"), "nothing was added"
