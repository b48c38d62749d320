"""Which cell comes next: the one with the most dependent work, once its parent is done."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raydt.grid.cell import Cell


class Schedule:
    """Hands out cells, parents before children, the longest remaining path first.

    `cells` are those still to do. A parent that is not among them is done.
    """

    def __init__(self, cells: Iterable[Cell], seconds: Mapping[str, float]) -> None:
        self._cells = {cell.cell_id: cell for cell in cells}
        self._children: dict[str, list[str]] = defaultdict(list)
        for cell in self._cells.values():
            if cell.parent_id in self._cells:
                self._children[cell.parent_id].append(cell.cell_id)
        # Work from the start of a cell to the end of its longest child.
        self._urgency = {
            cell_id: seconds[cell_id]
            + max((seconds[child] for child in self._children[cell_id]), default=0.0)
            for cell_id in self._cells
        }
        self._ready: list[tuple[float, str]] = []
        self._waiting = set(self._cells)
        for cell in self._cells.values():
            if cell.parent_id not in self._cells:
                self._make_ready(cell.cell_id)

    def __len__(self) -> int:
        """Number of its cells, at any stage."""
        return len(self._cells)

    def _make_ready(self, cell_id: str) -> None:
        self._waiting.discard(cell_id)
        heapq.heappush(self._ready, (-self._urgency[cell_id], cell_id))

    def next(self) -> Cell | None:
        """The next cell to start; None if all remaining cells wait for a parent."""
        if not self._ready:
            return None
        _, cell_id = heapq.heappop(self._ready)
        return self._cells[cell_id]

    def done(self, cell_id: str) -> None:
        """`cell_id` is done: its children may start."""
        for child in self._children[cell_id]:
            self._make_ready(child)

    def failed(self, cell_id: str) -> list[Cell]:
        """`cell_id` failed for good: returns its children, which are blocked."""
        blocked = [self._cells[child] for child in self._children[cell_id]]
        self._waiting.difference_update(cell.cell_id for cell in blocked)
        return blocked

    @property
    def exhausted(self) -> bool:
        """Whether every cell was handed out or is blocked."""
        return not self._ready and not self._waiting


@dataclass(frozen=True)
class Simulation:
    """The cells in the order in which they would start, and the seconds until the last one ends."""

    order: list[Cell]
    makespan_seconds: float


def simulate(
    cells: Iterable[Cell],
    seconds: Mapping[str, float],
    num_slots: int,
    slots_of: Mapping[str, int] | None = None,
) -> Simulation:
    """Simulate the schedule on `num_slots`, with the expected seconds of each cell on one slot.
    `slots_of` has the slots of cells trained by several workers, which are faster accordingly."""
    schedule = Schedule(cells, seconds)
    order: list[Cell] = []
    running: list[tuple[float, str, int]] = []
    held: Cell | None = None  # does not fit yet
    now, free = 0.0, num_slots
    while True:
        while (cell := held or schedule.next()) is not None:
            held, taken = cell, min(num_slots, (slots_of or {}).get(cell.cell_id, 1))
            if taken > free:
                break
            held, free = None, free - taken
            order.append(cell)
            ends = now + seconds[cell.cell_id] / taken
            heapq.heappush(running, (ends, cell.cell_id, taken))
        if not running:
            return Simulation(order, now)
        now, cell_id, taken = heapq.heappop(running)
        free += taken
        schedule.done(cell_id)
