"""Cells that were added to a sweep are cells of it, for every launch and every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.added import AddedCell, Round, added_cells, read_rounds, sweep_cells, write_rounds
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.grids import every_cell
from raydt.tracking.schema import Stage
from raydt.units import Size

PRETRAIN = Cell(Stage.PRETRAIN, "related", None, Size(400_000, "400k"), 7, "nano")
FINETUNE = Cell(Stage.FINETUNE, "related", "alba", Size(2_000, "2k"), 7, "nano", PRETRAIN.cell_id)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    sweep = Sweep(seeds=(0, 1), storage=str(tmp_path))
    added = tuple(AddedCell.of(cell, "it was wide") for cell in (PRETRAIN, FINETUNE))
    write_rounds(sweep, [Round(until=1.5, budget_seconds=60.0, cells=added)])
    return sweep


def test_they_stand_behind_those_of_the_axes(sweep: Sweep) -> None:
    assert sweep_cells(sweep) == [*build_grid(sweep), PRETRAIN, FINETUNE]
    assert {PRETRAIN, FINETUNE} <= set(every_cell(sweep))
    assert added_cells(sweep)[FINETUNE.cell_id].why == "it was wide"


def test_a_seed_that_is_declared_later_is_one_cell(sweep: Sweep) -> None:
    more = sweep.model_copy(update={"seeds": (0, 1, 7)})
    assert sweep_cells(more) == build_grid(more)


def test_what_a_sweep_leaves_out_is_left_out_of_what_was_added(sweep: Sweep) -> None:
    narrow = sweep.model_copy(update={"targets": ("brio",)})
    assert sweep_cells(narrow) == [*build_grid(narrow), PRETRAIN]
    assert FINETUNE in every_cell(narrow), "a person may still remove it"
    without = sweep.model_copy(update={"pretrain_size": Size(9, "9")})
    assert sweep_cells(without) == build_grid(without), "no child without its parent"


def test_a_round_is_resumed_until_it_has_ended(sweep: Sweep) -> None:
    (last,) = read_rounds(sweep)
    assert last.continues(1.5, 60.0)
    assert not last.continues(1.4, 60.0)
    assert not last.continues(1.5, None)
    assert not last.model_copy(update={"outcome": "enough"}).continues(1.5, 60.0)


def test_a_damaged_record_is_said_to_be(sweep: Sweep) -> None:
    sweep.folder.write_json("added.json", [{"until": "wide"}])
    with pytest.raises(RunError, match=r"added\.json: expected the cells that were added"):
        sweep_cells(sweep)
