"""A schedule that grows: when its cells have ended, it asks for more, repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from raydt.grid.cell import Cell
from raydt.grid.schedule import Schedule


class GrowingSchedule(Schedule):
    """`more` is called when no cell is ready and one has ended since it last returned none.

    It receives the cells that failed or are blocked, and returns cells, parents before children,
    whose `seconds` are known by then; parents that the schedule does not know are done. `first` are
    cells from `more` for a launch that has nothing else to do: nothing has to end before them."""

    def __init__(
        self,
        cells: Iterable[Cell],
        seconds: Mapping[str, float],
        more: Callable[[frozenset[str]], Sequence[Cell]],
        first: Iterable[Cell] = (),
    ) -> None:
        super().__init__(cells, seconds)
        self._seconds = seconds
        self._lost: set[str] = set()
        self._more = more
        self._unfinished = set(self._cells)  # not ended, and not blocked
        self._declared = set(self._cells)
        self._may_grow = True
        self._add(list(first))

    def next(self) -> Cell | None:
        cell = super().next()
        if cell is None and self._may_grow and not self._declared:
            added = self._more(frozenset(self._lost))
            self._may_grow = bool(added)
            self._add(added)
            cell = super().next()
        return cell

    def done(self, cell_id: str) -> None:
        super().done(cell_id)
        self._end(cell_id)

    def failed(self, cell_id: str) -> list[Cell]:
        blocked = super().failed(cell_id)
        for each in (cell_id, *(cell.cell_id for cell in blocked)):
            self._lost.add(each)
            self._end(each)
        return blocked

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left, nothing runs that could lead to more, and there is no more."""
        return super().exhausted and not self._unfinished and not self._may_grow

    def _end(self, cell_id: str) -> None:
        self._unfinished.discard(cell_id)
        self._declared.discard(cell_id)
        self._may_grow = True

    def _add(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            self._cells[cell.cell_id] = cell
            self._urgency[cell.cell_id] = self._seconds[cell.cell_id]
            self._unfinished.add(cell.cell_id)
        for cell in cells:
            if cell.parent_id in self._unfinished:
                self._children[str(cell.parent_id)].append(cell.cell_id)
                self._waiting.add(cell.cell_id)
            else:
                self._make_ready(cell.cell_id)
