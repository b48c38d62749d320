"""Adding seeds where intervals are widest, compared with an equal number of seeds for every cell.

    python sweeps/grid.py --name many --seeds 0 1 2 3 4 5
    python benchmarks/refine.py many

Replays a sweep that was trained with many seeds; trains nothing. Equal numbers: the width of the
widest interval of D_E with three, four, ... of its seeds, and the seconds of training beyond the
first two seeds. Refined: the rule of `--until` starts with the first two seeds, with that width as
its goal, and receives the sweep's losses for the seeds it adds. Every replay has its own random
order of seeds, and a row is the median over replays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median

import numpy as np

from analysis.refine.rule import PrecisionRule, cell_frame
from analysis.refine.widths import measured_widths
from raydt.grid.added import sweep_cells
from raydt.grid.cell import Cell
from raydt.grid.ledger import Ledger
from raydt.grid.refining import Known
from raydt.grid.result import Result
from raydt.terminal.status import find_sweep
from raydt.tracking.schema import Status

FIRST = 2  # seeds of every cell before anything is added
LEAST_SECONDS = 0.05  # of a zeroshot, which trains nothing


@dataclass
class Trained:
    """A sweep with permuted seeds: seed i of a replay is seed `order[i]` of the sweep."""

    cells: list[Cell]
    results: Mapping[str, Result]
    order: list[int]

    def result(self, cell: Cell) -> Result | None:
        """The result of a cell of the replay; None if the sweep has no such seed."""
        if cell.seed >= len(self.order):
            return None
        found = self.results.get(replace(cell, seed=self.order[cell.seed]).cell_id)
        return None if found is None else found.model_copy(update={"cell_id": cell.cell_id})

    def of_seeds(self, seeds: Iterable[int]) -> list[Cell]:
        """The cells of these seeds of the replay, parents first."""
        first = min(cell.seed for cell in self.cells)
        one = [cell for cell in self.cells if cell.seed == first]
        return list(chain.from_iterable(_of_seed(one, seed) for seed in seeds))

    def seconds(self, cell: Cell) -> float:
        """Seconds of training: the median of the cell's kind, which is a launch's estimate too."""
        kind = [
            result.training_seconds
            for other in self.cells
            if (other.stage, other.size, other.model) == (cell.stage, cell.size, cell.model)
            and (result := self.results.get(other.cell_id)) is not None
        ]
        return max(median(kind), LEAST_SECONDS)


def _of_seed(cells: list[Cell], seed: int) -> list[Cell]:
    ids = {cell.cell_id: replace(cell, seed=seed).cell_id for cell in cells}
    return [
        replace(cell, seed=seed, parent_id=ids[cell.parent_id] if cell.parent_id else None)
        for cell in cells
    ]


class Replay:
    """The cells that the replay has trained so far."""

    def __init__(self, trained: Trained, costs: Mapping[str, float]) -> None:
        self.trained = trained
        self.costs = costs
        self.cells: list[Cell] = []
        self.results: dict[str, Result] = {}
        self.seconds = 0.0

    def train(self, cells: Iterable[Cell]) -> bool:
        """Add cells until the sweep lacks one; returns whether it has all."""
        for cell in cells:
            result = self.trained.result(cell)
            if result is None or result.status is not Status.DONE:
                return False
            self.cells.append(cell)
            self.results[cell.cell_id] = result
            self.seconds += max(result.training_seconds, LEAST_SECONDS)
        return True

    def known(self) -> Known:
        return Known(self.cells, self.results, frozenset(), self._cost)

    def _cost(self, cell: Cell) -> float:
        return self.costs[_kind(cell)]

    def widest(self) -> float:
        """The factor between the ends of the widest interval that lies inside its ladder."""
        table = cell_frame(self.cells, self.known())
        each = measured_widths(table, 0.9).each
        return float(np.exp(max(one.log_factor for one in each)))


def _kind(cell: Cell) -> str:
    return f"{cell.stage}/{cell.size.label}/{cell.model}"


def refined(replay: Replay, until: float) -> tuple[float, float] | None:
    """Width and seconds when the rule stops; None if it asks for a seed that the sweep lacks."""
    rule = PrecisionRule(until)
    while True:
        choice = rule.choose(replay.known())
        if not choice.cells:
            return replay.widest(), replay.seconds
        if not replay.train(choice.cells):
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help="a sweep of four seeds or more")
    parser.add_argument("--storage", default="runs")
    parser.add_argument("--replays", type=int, default=5)
    options = parser.parse_args()
    sweep = find_sweep(options.storage, options.name)
    cells = sweep_cells(sweep)
    results = Ledger.read(sweep, cells).results
    seeds = sorted({cell.seed for cell in cells})
    if len(seeds) < FIRST + 2:
        sys.exit(f"{sweep.name} has {len(seeds)} seeds; expected {FIRST + 2} or more")
    random = np.random.default_rng(0)
    rows: dict[int, list[tuple[float, float, float, float]]] = {}
    lost: dict[int, int] = {}
    for number in range(options.replays):
        order = seeds if number == 0 else [int(one) for one in random.permutation(seeds)]
        trained = Trained(cells, results, order)
        costs = {_kind(cell): trained.seconds(cell) for cell in trained.of_seeds([0])}
        for equal in range(FIRST + 1, len(seeds)):
            even = Replay(trained, costs)
            even.train(trained.of_seeds(range(FIRST)))
            begun = even.seconds
            even.train(trained.of_seeds(range(FIRST, equal)))
            width = even.widest()
            chosen = Replay(trained, costs)
            chosen.train(trained.of_seeds(range(FIRST)))
            came = refined(chosen, width)
            if came is None:
                # The rule asks for more seeds than the sweep has. So it would for narrower goals.
                for narrower in range(equal, len(seeds)):
                    lost[narrower] = lost.get(narrower, 0) + 1
                break
            row = width, even.seconds - begun, came[0], came[1] - begun
            rows.setdefault(equal, []).append(row)
    print(f"{sweep.name}: {len(cells)} cells, {len(seeds)} seeds, {options.replays} replays")
    print(
        "| seeds of every cell | widest | s added | refined to | s added | ratio | out of seeds |"
    )
    print("|---|---|---|---|---|---|---|")
    for equal in range(FIRST + 1, len(seeds)):
        found = rows.get(equal, [])
        missing = lost.get(equal, 0)
        if not found:
            print(f"| {equal} | | | | | | {missing} |")
            continue
        width, even_s, reached, chosen_s = (median(column) for column in zip(*found, strict=True))
        ratio = median(row[3] / row[1] for row in found)
        print(
            f"| {equal} | {width:.2f} | {even_s:.0f} | {reached:.2f} | {chosen_s:.0f} | "
            f"{ratio:.2f} | {missing} |"
        )


if __name__ == "__main__":
    main()
