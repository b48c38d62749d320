"""The cells of a launch with their tasks, costs and fingerprints. It may grow while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raydt.config.sweep import Sweep
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.grid.added import AddedCell
from raydt.grid.cell import Cell
from raydt.grid.cost import Kind, cell_cost, cell_costs, workers_of
from raydt.orchestration.grid.tasks import build_tasks
from raydt.orchestration.run.task import CellTask, Weights


class Inventory:
    """What is known of each cell, by cell id, parents before children: `cells`, `tasks`, expected
    `seconds`, `fingerprints`, and the reasons of added cells (`added_for`).

    `priced` is the sweep with the hardware it runs on; `rates` and `seen` are measured training
    speeds and bytes seen.
    """

    def __init__(
        self,
        sweep: Sweep,
        languages: Mapping[str, PreparedLanguage],
        locations: Mapping[str, str],
        launch_id: str,
        priced: Sweep,
        rates: Mapping[str, float],
        seen: Mapping[Kind, float],
        outside: Mapping[str, Weights],
    ) -> None:
        self._sweep = sweep
        self._languages = languages
        self._locations = locations
        self._launch_id = launch_id
        self._outside = outside
        self._priced = priced
        self._rates = rates
        self._seen = seen
        self.cells: dict[str, Cell] = {}
        self.tasks: dict[str, CellTask] = {}
        self.seconds: dict[str, float] = {}
        self.fingerprints: dict[str, str] = {}
        self.added_for: dict[str, str] = {}

    def expected_seconds(self, cell: Cell) -> float:
        """Expected seconds of a cell that may be added."""
        return cell_cost(cell, self._priced, self._rates, self._seen).seconds

    def add(self, cells: Sequence[Cell]) -> None:
        """Add cells, parents before children; other parents must have been added before."""
        costs = cell_costs(cells, self._priced, self._rates, self._seen)
        seconds = {cell_id: cost.seconds for cell_id, cost in costs.items()}
        new = {cell.cell_id: cell for cell in cells}
        # A child's fingerprint includes its parent's.
        parents = {str(c.parent_id) for c in cells if c.parent_id is not None} - new.keys()
        with_parents = [*(self.cells[parent] for parent in parents), *cells]
        seconds |= {parent: self.seconds[parent] for parent in parents}
        workers = {c.cell_id: workers_of(c, self._sweep, seconds[c.cell_id]) for c in with_parents}
        tasks = build_tasks(
            with_parents,
            self._sweep,
            self._languages,
            self._locations,
            workers,
            self._launch_id,
            self._outside,
        )
        self.cells |= new
        self.seconds |= seconds
        self.tasks |= {cell_id: tasks[cell_id] for cell_id in new}
        self.fingerprints |= {cell_id: tasks[cell_id].fingerprint for cell_id in new}

    def grow(self, added: Sequence[AddedCell]) -> list[Cell]:
        """Add the cells of a refinement."""
        cells = [each.cell for each in added]
        self.added_for |= {each.cell.cell_id: each.why for each in added}
        self.add(cells)
        return cells
