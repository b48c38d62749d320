"""Do cells with the same seed share luck? They see batches in the same order and start from the
same weights.

    python sweeps/grid.py --seeds 0 1 2 3 4 5 6 7 8 9
    PYTHONPATH=. python benchmarks/pairing.py demo

Correlates, over seeds, the deviations of two cells' log losses from their means over seeds. The two
cells differ in one respect: the source of finetunes, the target of finetunes of one pretrain,
finetune or scratch of one target and size, the language of pretrains, the size of scratch. The
correlation is pooled over all such pairs (the sum of products over the root of the product of the
sums of squares); its error is from the jackknife over seeds; `by chance` is the 95 % quantile of
its absolute value when each cell's seeds are permuted. Trains nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from analysis.arrays import Floats
from raydt.grid.added import sweep_cells
from raydt.grid.cell import Cell
from raydt.grid.ledger import Ledger
from raydt.terminal.status import find_sweep
from raydt.tracking.schema import Stage, Status

NUM_SHUFFLES = 200

Key = tuple[object, ...]
# What two cells have in common, where they differ, and which stages.
_PAIRS: dict[str, tuple[tuple[Stage, ...], Callable[[Cell], Key]]] = {
    "finetunes of two sources, same target and size": (
        (Stage.FINETUNE,),
        lambda cell: (cell.target, cell.size),
    ),
    "finetunes of one pretrain, two targets": (
        (Stage.FINETUNE,),
        lambda cell: (cell.source, cell.size),
    ),
    "scratch and finetune, same target and size": (
        (Stage.SCRATCH, Stage.FINETUNE),
        lambda cell: (cell.target, cell.size),
    ),
    "pretrains of two languages": ((Stage.PRETRAIN,), lambda cell: ()),
    "scratch of two sizes, same target": ((Stage.SCRATCH,), lambda cell: (cell.target,)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help="a sweep of four seeds or more")
    parser.add_argument("--storage", default="runs")
    options = parser.parse_args()
    sweep = find_sweep(options.storage, options.name)
    cells = sweep_cells(sweep)
    results = Ledger.read(sweep, cells).results
    loss: dict[Key, dict[int, float]] = defaultdict(dict)
    of: dict[Key, Cell] = {}
    for cell in cells:
        found = results.get(cell.cell_id)
        if found is not None and found.status is Status.DONE:
            key = (cell.stage, cell.source, cell.target, cell.size, cell.model)
            loss[key][cell.seed], of[key] = float(np.log(found.test_loss)), cell
    seeds = sorted({seed for each in loss.values() for seed in each})
    whole = [key for key, each in loss.items() if len(each) == len(seeds)]
    if len(seeds) < 4 or not whole:
        sys.exit(f"{sweep.name}: expected four or more seeds of the same cells, got {len(seeds)}")
    rows = {key: _centred(np.array([loss[key][seed] for seed in seeds])) for key in whole}
    print(f"{sweep.name}: {len(whole)} cells, {len(seeds)} seeds")
    print("| between | pairs | correlation | error | by chance |")
    print("|---|---|---|---|---|")
    random = np.random.default_rng(0)
    for label, (stages, common) in _PAIRS.items():
        two = list(_pairs(of, whole, stages, common))
        if not two:
            continue
        same = _correlation(rows, two)
        left_out = [
            _correlation({key: _centred(np.delete(row, at)) for key, row in rows.items()}, two)
            for at in range(len(seeds))
        ]
        error = np.sqrt((len(seeds) - 1) * np.var(left_out))
        shuffled = [
            abs(_correlation({key: random.permutation(row) for key, row in rows.items()}, two))
            for _ in range(NUM_SHUFFLES)
        ]
        chance = np.quantile(shuffled, 0.95)
        print(f"| {label} | {len(two)} | {same:.2f} | {error:.2f} | {chance:.2f} |")


def _pairs(
    of: dict[Key, Cell],
    whole: list[Key],
    stages: tuple[Stage, ...],
    common: Callable[[Cell], Key],
) -> Iterator[tuple[Key, Key]]:
    groups: dict[Key, list[Key]] = defaultdict(list)
    for key in whole:
        if of[key].stage in stages:
            groups[(of[key].model, *common(of[key]))].append(key)
    for mine in groups.values():
        for one, other in combinations(mine, 2):
            if len(stages) == 1 or of[one].stage is not of[other].stage:
                yield one, other


def _centred(row: Floats) -> Floats:
    return np.asarray(row - row.mean())


def _correlation(rows: dict[Key, Floats], two: list[tuple[Key, Key]]) -> float:
    one, other = (np.array([rows[pair[side]] for pair in two]) for side in (0, 1))
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


if __name__ == "__main__":
    main()
