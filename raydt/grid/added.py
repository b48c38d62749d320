"""The cells that refinements added to a sweep beyond its axes, why, and how each refinement ended.

They are recorded before they are trained, so that after an interruption the next launch of any kind
trains the missing ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.storage.typed import typed
from raydt.tracking.schema import Stage
from raydt.units import Size

_ADDED = "added.json"


class AddedCell(BaseModel):
    """A cell, with the fields of `Cell`, and the reason why it was added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    source: str | None
    target: str | None
    size: str
    size_bytes: int
    seed: int
    model: str
    parent_id: str | None
    why: str

    @classmethod
    def of(cls, cell: Cell, why: str) -> AddedCell:
        return cls(
            stage=cell.stage,
            source=cell.source,
            target=cell.target,
            size=cell.size.label,
            size_bytes=cell.size.num_bytes,
            seed=cell.seed,
            model=cell.model,
            parent_id=cell.parent_id,
            why=why,
        )

    @property
    def cell(self) -> Cell:
        size = Size(self.size_bytes, self.size)
        return Cell(
            self.stage, self.source, self.target, size, self.seed, self.model, self.parent_id
        )


class Round(BaseModel):
    """One refinement: its goal, the cells that it added and, once it has ended, why it ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: float
    budget_seconds: float | None
    cells: tuple[AddedCell, ...] = ()
    outcome: str | None = None

    def continues(self, until: float, budget_seconds: float | None) -> bool:
        """Whether this refinement was interrupted and has the same goal, so that it is resumed."""
        asked = (self.until, self.budget_seconds)
        return self.outcome is None and asked == (until, budget_seconds)


def read_rounds(sweep: Sweep) -> list[Round]:
    """All refinements of a sweep, oldest first; `RunError` if their record is damaged."""
    there = sweep.folder.read_json(_ADDED)
    where = f"{sweep.folder.uri}/{_ADDED}"
    what = "the cells that were added to a sweep"
    return [] if there is None else typed(list[Round], there, where, what)


def write_rounds(sweep: Sweep, rounds: Iterable[Round]) -> None:
    """Write the record."""
    sweep.folder.write_json(_ADDED, [one.model_dump(mode="json") for one in rounds])


def added_cells(sweep: Sweep) -> dict[str, AddedCell]:
    """All cells that were ever added, by cell id, in the order in which they were added."""
    return {one.cell.cell_id: one for each in read_rounds(sweep) for one in each.cells}


def sweep_cells(sweep: Sweep) -> list[Cell]:
    """The cells of a sweep: those of its axes, and the added ones; parents before children.

    Added cells with a language, size or model that the sweep no longer has are left out.
    """
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    kinds = {_kind(cell) for cell in cells.values()}
    for cell_id, added in added_cells(sweep).items():
        if _kind(added.cell) in kinds:
            cells.setdefault(cell_id, added.cell)
    return _with_parents(cells)


def _kind(cell: Cell) -> tuple[object, ...]:
    return cell.stage, cell.source, cell.target, cell.size, cell.model


def _with_parents(cells: Mapping[str, Cell]) -> list[Cell]:
    """Drop children of pretrains that the sweep no longer has, as with fewer seeds."""
    return [c for c in cells.values() if c.parent_id is None or c.parent_id in cells]
