"""All grids with which a sweep was launched. Axes may grow or shrink from launch to launch;
commands on cells know the cells of all launches, and those that were added."""

from __future__ import annotations

from typing import Any

from raydt.config.sweep import Sweep
from raydt.grid.added import added_cells
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.storage.typed import typed

_GRIDS = "grids.json"
_AXES = ("sources", "targets", "sizes", "scratch_sizes", "models", "seeds", "joint")


def record_grid(sweep: Sweep) -> None:
    """Record the axes of a launch, unless they are recorded already."""
    grids = _recorded(sweep)
    axes = _axes_of(sweep)
    if axes not in grids:
        sweep.folder.write_json(_GRIDS, [*grids, axes])


def every_cell(sweep: Sweep) -> list[Cell]:
    """The cells of the sweep and of all its launches, parents before children."""
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    for axes in _recorded(sweep):
        if axes != _axes_of(sweep):
            whole = {**sweep.model_dump(mode="json"), **axes}
            before = typed(Sweep, whole, f"{sweep.folder.uri}/{_GRIDS}", "axes of a sweep")
            cells |= {cell.cell_id: cell for cell in build_grid(before)}
    cells |= {cell_id: added.cell for cell_id, added in added_cells(sweep).items()}
    return sorted(cells.values(), key=lambda cell: cell.parent_id is not None)


def _axes_of(sweep: Sweep) -> dict[str, Any]:
    dumped = sweep.model_dump(mode="json")
    return {name: dumped[name] for name in _AXES}


def _recorded(sweep: Sweep) -> list[dict[str, Any]]:
    there = sweep.folder.read_json(_GRIDS)
    where = f"{sweep.folder.uri}/{_GRIDS}"
    kind = list[dict[str, Any]]
    return [] if there is None else typed(kind, there, where, "the grids of a sweep")
