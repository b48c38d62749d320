"""The cells that were added to a sweep beyond its axes, why, and what each refinement came to.

They are written down before they are trained, so whatever happens then, the next launch of any kind
trains what is missing of them.
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
    """A cell, in the fields of `Cell`, and why it was added, in a line."""

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
    """One refinement: what was asked for, what it added and, once it has ended, why it did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: float
    budget_seconds: float | None
    cells: tuple[AddedCell, ...] = ()
    outcome: str | None = None

    def continues(self, until: float, budget_seconds: float | None) -> bool:
        """Whether a refinement that asks for this was cut off and is to be resumed."""
        asked = (self.until, self.budget_seconds)
        return self.outcome is None and asked == (until, budget_seconds)


def read_rounds(sweep: Sweep) -> list[Round]:
    """All refinements of a sweep, oldest first; `RunError` if their record is damaged."""
    there = sweep.folder.read_json(_ADDED)
    where = f"{sweep.folder.uri}/{_ADDED}"
    what = "the cells that were added to a sweep"
    return [] if there is None else typed(list[Round], there, where, what)


def write_rounds(sweep: Sweep, rounds: Iterable[Round]) -> None:
    """Put the record in place."""
    sweep.folder.write_json(_ADDED, [one.model_dump(mode="json") for one in rounds])


def added_cells(sweep: Sweep) -> dict[str, AddedCell]:
    """All cells that were ever added, by cell id, in the order in which they were."""
    return {one.cell.cell_id: one for each in read_rounds(sweep) for one in each.cells}


def sweep_cells(sweep: Sweep) -> list[Cell]:
    """The cells of a sweep: its axes crossed, and what was added to these; parents before children.

    What was added of a language, size or model that the sweep leaves out now is left out too.
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
    """Without children of pretrains that the sweep has no more, as with fewer seeds."""
    return [c for c in cells.values() if c.parent_id is None or c.parent_id in cells]
