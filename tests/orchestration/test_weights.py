"""Whose weights stay, whose may go, and what a launch says that lacks some."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import Ledger, cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.orchestration.weights import (
    free_unneeded_weights,
    missing_weights,
    remove_weights,
)
from raydt.tracking.schema import Stage
from tests.grid.results import result_of

SIZE = 1000


class Storage:
    """A sweep of two pretrains and their children, some of which are done."""

    def __init__(self, path: Path) -> None:
        self.sweep = Sweep(
            storage=path,
            sources=("related", "nonsense"),
            targets=("alba",),
            sizes=("2k",),
            seeds=(0,),
        )
        record_sweep(self.sweep)
        self.cells = {cell.cell_id: cell for cell in build_grid(self.sweep)}

    def done(self, *cells: Cell, weights: bool = True) -> None:
        for cell in cells:
            folder = cell_folder(self.sweep, cell.cell_id)
            write_result(folder, RESULT, result_of(cell.cell_id))
            if weights:
                attempt_folder(folder, "1").write(WEIGHTS, b"w" * SIZE)

    def of(self, stage: Stage, source: str | None = None) -> list[Cell]:
        return [
            cell
            for cell in self.cells.values()
            if cell.stage is stage and source in (None, cell.source)
        ]

    def ledger(self) -> Ledger:
        return Ledger.read(self.sweep, self.cells.values())

    def kept(self) -> set[str]:
        return {
            cell_id
            for cell_id in self.cells
            if attempt_folder(cell_folder(self.sweep, cell_id), "1").exists(WEIGHTS)
        }


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def test_what_cells_still_start_from_stays(storage: Storage) -> None:
    pretrains = storage.of(Stage.PRETRAIN)
    children = [c for c in storage.cells.values() if c.parent_id and c.source == "related"]
    storage.done(*pretrains, *children)
    with pytest.raises(RunError, match="unfinished cells start from these weights, such as"):
        remove_weights(storage.sweep, storage.cells.values())
    assert len(storage.kept()) == len(pretrains) + len(children)
    freed = remove_weights(storage.sweep, [*storage.of(Stage.PRETRAIN, "related"), *children])
    assert freed.num_bytes == SIZE * (1 + len(children))
    assert storage.kept() == {c.cell_id for c in storage.of(Stage.PRETRAIN, "nonsense")}
    assert storage.ledger().results.keys() >= {c.cell_id for c in children}, "results stay"


def test_weights_are_not_removed_under_a_launch(storage: Storage) -> None:
    storage.done(*storage.cells.values())
    lease = LaunchLease(storage.sweep.folder, on_lost=lambda: None)
    with lease, pytest.raises(RunError, match="another launch"):
        remove_weights(storage.sweep, storage.of(Stage.FINETUNE))
    assert len(storage.kept()) == len(storage.cells)


def test_with_none_kept_parents_go_when_their_children_are_done(storage: Storage) -> None:
    children = [c for c in storage.cells.values() if c.parent_id and c.source == "related"]
    storage.done(*storage.of(Stage.PRETRAIN))
    storage.done(*children, weights=False)
    freed = free_unneeded_weights(storage.sweep, storage.cells, storage.ledger())
    assert freed.cells == storage.of(Stage.PRETRAIN, "related")
    assert storage.kept() == {c.cell_id for c in storage.of(Stage.PRETRAIN, "nonsense")}


def test_a_launch_that_lacks_weights_says_so_before_it_begins(storage: Storage) -> None:
    storage.done(*storage.of(Stage.PRETRAIN, "related"))
    storage.done(*storage.of(Stage.PRETRAIN, "nonsense"), weights=False)
    missing = [cell for cell in storage.cells.values() if cell.stage is not Stage.PRETRAIN]
    (problem,) = missing_weights(storage.sweep, missing, storage.ledger())
    assert "got none of pretrain/nonsense" in str(problem)
    related = [cell for cell in missing if cell.source in (None, "related")]
    assert missing_weights(storage.sweep, related, storage.ledger()) == []
