"""What a person does to cells goes by every grid that the sweep was launched with."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.errors import RunError
from raydt.grid.build import build_grid
from raydt.grid.grids import every_cell, record_grid
from raydt.grid.journal import RESULT
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.orchestration.cells import matching_cells, remove_cells, retry_cells
from raydt.tracking.schema import Stage
from tests.grid.results import result_of


@pytest.fixture
def wide_and_narrow(tmp_path: Path) -> tuple[Sweep, Sweep]:
    """A sweep of two sizes, all done, that was launched again with one of them."""
    axes = {"sources": ("related",), "targets": ("alba",), "seeds": (0,), "storage": str(tmp_path)}
    wide, narrow = Sweep(sizes=("2k", "4k"), **axes), Sweep(sizes=("2k",), **axes)
    for sweep in (wide, narrow):
        record_sweep(sweep)
        record_grid(sweep)
    for cell in build_grid(wide):
        write_result(cell_folder(wide, cell.cell_id), RESULT, result_of(cell.cell_id))
    return wide, narrow


def test_every_cell_is_known_parents_first(wide_and_narrow: tuple[Sweep, Sweep]) -> None:
    wide, narrow = wide_and_narrow
    assert {cell.cell_id for cell in every_cell(narrow)} == {c.cell_id for c in build_grid(wide)}
    assert every_cell(narrow)[0].stage is not Stage.FINETUNE
    record_grid(narrow)
    assert len(narrow.folder.read_json("grids.json")) == 2, "once each"


def test_a_parent_is_not_removed_under_a_child_of_an_earlier_launch(
    wide_and_narrow: tuple[Sweep, Sweep],
) -> None:
    _, narrow = wide_and_narrow
    chosen = matching_cells(narrow, ["pretrain/*", "zeroshot/*", "finetune/*/2k/*"])
    with pytest.raises(RunError, match=r"were made from these, such as finetune/related-alba/4k"):
        remove_cells(narrow, chosen)


def test_retry_of_a_parent_trains_those_of_earlier_launches_too(
    wide_and_narrow: tuple[Sweep, Sweep],
) -> None:
    wide, narrow = wide_and_narrow
    chosen = retry_cells(narrow, matching_cells(narrow, ["pretrain/*"]), done_too=True)
    children = {cell.cell_id for cell in build_grid(wide) if cell.parent_id is not None}
    assert {cell.cell_id for cell in chosen} > children
