"""What may be added next: a seed of a cell, or a pretrain with the finetunes that justify it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from analysis.refine.widths import Group
from raydt.grid.cell import Cell
from raydt.grid.refining import Known
from raydt.tracking.schema import Stage


@dataclass
class Stock:
    """The cells that exist or are planned, by group."""

    of_group: dict[Group, list[Cell]] = field(default_factory=lambda: defaultdict(list))
    pretrains: dict[tuple[str, str], list[Cell]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Stock:
        stock = cls()
        for cell in cells:
            stock.add(cell)
        return stock

    def add(self, cell: Cell) -> None:
        if cell.stage is Stage.PRETRAIN:
            self.pretrains[cell.model, str(cell.source)].append(cell)
        elif cell.stage is not Stage.JOINT:  # of which no D_E is read
            self.of_group[group_of_cell(cell)].append(cell)

    def groups_from(self, model: str, source: str) -> list[Group]:
        """The finetunes and zeroshots of a source."""
        return [g for g in self.of_group if g[0] == model and g[2] == source]


def group_of_cell(cell: Cell) -> Group:
    """The group of a cell."""
    return cell.model, cell.stage.value, cell.source, cell.target, cell.size.num_bytes


@dataclass(frozen=True)
class Offer:
    """Cells that must or may be added together: `base` first, then any of `more`."""

    base: tuple[Cell, ...]
    more: tuple[Cell, ...] = ()


def offers(stock: Stock, known: Known, wanted: set[Group]) -> Iterator[Offer]:
    """Every offer that affects the groups in `wanted`.

    A group gets at most one finetune of each pretrain, as a second one would share its luck: if a
    group has all pretrains of its source, another pretrain comes with it.
    """
    for group in sorted(wanted, key=str):
        if group[1] == Stage.SCRATCH:
            yield Offer((_another(stock, group),))
    for model, source in sorted({(g[0], str(g[2])) for g in wanted if g[2] is not None}):
        mine = [g for g in stock.groups_from(model, source) if g in wanted]
        pretrains = stock.pretrains[model, source]
        for pretrain in pretrains:
            if pretrain.cell_id in known.given_up or not known.can_start(pretrain):
                continue
            for group in mine:
                if pretrain.seed not in {cell.seed for cell in stock.of_group[group]}:
                    yield Offer((_child(stock, group, pretrain),))
        if not pretrains:
            continue
        seed = 1 + max(cell.seed for cell in [*pretrains, *_cells(stock, model, source)])
        new = replace(pretrains[0], seed=seed)
        yield Offer((new,), tuple(_child(stock, group, new) for group in mine))


def _cells(stock: Stock, model: str, source: str) -> list[Cell]:
    return [cell for group in stock.groups_from(model, source) for cell in stock.of_group[group]]


def _another(stock: Stock, group: Group) -> Cell:
    cells = stock.of_group[group]
    return replace(cells[0], seed=1 + max(cell.seed for cell in cells))


def _child(stock: Stock, group: Group, pretrain: Cell) -> Cell:
    template = stock.of_group[group][0]
    return replace(template, seed=pretrain.seed, parent_id=pretrain.cell_id)
