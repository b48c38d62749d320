"""Verdicts on small trained grids, compared with what was planted and with ten times the seeds.

    PYTHONPATH=. python benchmarks/verdicts.py train [PLANT ...]   # resumes; hours
    PYTHONPATH=. python benchmarks/verdicts.py judge

What controlled languages share is known by construction (docs/controlled.md). Each plant is a sweep
with many seeds, which are divided into disjoint grids of two (`--grid-seeds`), and every grid is
analysed by itself, as by `raydt analyze`. A grid's verdict is right if it equals the truth, and
wrong if it is neither that nor "undecided". The truth of a claim is what the plant leaves no doubt
of, or else the verdict on the same cells with all seeds; the table has both. Claims that the grid
cannot answer, according to `raydt plan`, are left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from analysis.analyze import computed
from analysis.claims.answerable import Axes, answerable
from analysis.claims.claim import Verdict
from analysis.estimators.registry import DEFAULT
from analysis.second_process import InlineExecutor
from analysis.store.read import SweepRuns, read_sweep
from raydt.tracking.schema import PARAM_SEED, PARAM_STAGE, Stage
from raydt.tracking.uri import sqlite_uri

NO, YES = Verdict.NO, Verdict.YES


@dataclass(frozen=True)
class Plant:
    """sources and targets by name; planted: verdicts of which the languages leave no doubt."""

    about: str
    sources: str
    targets: str
    planted: dict[str, Verdict] = field(default_factory=dict)

    def axes(self, num_seeds: int) -> Axes:
        """The axes of one grid, to ask the plan what it can answer."""
        return Axes(tuple(self.sources.split()), tuple(self.targets.split()), 1, num_seeds)


_FAMILIES = "related alba brio lusa hispa unrelated"
PLANTS = {
    "demo": Plant(
        "two families and a stranger, both ways",
        _FAMILIES,
        _FAMILIES,
        {"similar": NO, "similarity": YES, "commutative": YES, "specific": NO},
    ),
    "alike": Plant(
        "four that share half of the words each",
        "w1-s0.5-v2 w1-s0.5-v3 w1-s0.5-v4 w1-s0.5-v5",
        "related",
        {"hurt": NO},  # not similar: it depends on which half of the words
    ),
    "one-near": Plant(
        "one shares most words with all targets, three share none",
        "alba w1-s0-v2 w1-s0-v3 w1-s0-v4",
        "related brio w1-s0.5-v9",
        {"similar": NO, "specific": NO},
    ),
    "no-words": Plant(
        "no words in common, a world for two of four",
        "w1-s0-v2 w1-s0-v3 w0-s0-v4 w0-s0-v5",
        "w1-s0-v6 w1-s0-v7 w1-s0-v8",
    ),
    "strangers": Plant(
        "words that say nothing, brackets, other sounds, another grammar",
        "nonsense brackets unrelated distant",
        "related lusa w1-s0-v2",
    ),
    "dose": Plant(
        "0, 0.3, 0.6 and 0.9 of the words",
        "w1-s0-v2 w1-s0.3-v2 w1-s0.6-v2 w1-s0.9-v2",
        "related alba brio",
        {"similar": NO, "similarity": YES, "specific": NO},
    ),
}


def train(names: Sequence[str], num_seeds: int, storage: Path) -> int:
    """Train by the sweep's own command, which resumes what was interrupted."""
    for name in names:
        plant = PLANTS[name]
        words = [sys.executable, "sweeps/grid.py", "--name", name, "--storage", str(storage)]
        words += ["--sources", *plant.sources.split(), "--targets", *plant.targets.split()]
        words += ["--sizes", "2k", "--scratch-sizes", "1k", "6k", "20k"]
        words += ["--seeds", *map(str, range(num_seeds))]
        code = subprocess.call(words)
        if code:
            return code
    return 0


def verdicts(runs: SweepRuns, seeds: set[int], storage: Path) -> dict[str, Verdict]:
    """The verdict on every claim, from the cells of these seeds only."""
    mine = [run for run in runs.cells if int(run.params[PARAM_SEED]) in seeds]
    found = computed(
        replace(runs, cells=mine, plan=None),
        storage / "unwritten",
        store_uri=runs.store_uri,
        estimator=DEFAULT,
        confidence=0.9,
        num_resamples=1000,
        random_seed=0,
        corpora_dir=storage / "corpora",
        executor=InlineExecutor(),
        on_step=lambda _: None,
    )
    return {claim.name: claim.verdict for claim in found.claims}


@dataclass
class Counted:
    """What the grids said of a claim, and what is true of it."""

    said: Counter[Verdict]
    by_seeds: Verdict
    planted: Verdict | None

    @property
    def truth(self) -> Verdict:
        """`undecided` where nothing is known."""
        return self.planted or self.by_seeds

    @property
    def right(self) -> int:
        return self.said[self.truth] if self.truth is not Verdict.UNDECIDED else 0

    @property
    def undecided(self) -> int:
        return self.said[Verdict.UNDECIDED]

    @property
    def wrong(self) -> int:
        """Verdicts that contradict the truth; 0 where it is unknown."""
        known = self.truth is not Verdict.UNDECIDED
        return self.said.total() - self.right - self.undecided if known else 0


def judge(storage: Path, names: Sequence[str], grid_seeds: int) -> None:
    print("| plant | claim | grids | said | planted | all seeds | right | wrong | undecided |")
    print("|---|---|---|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for name in names:
        plant = PLANTS[name]
        runs = read_sweep(sqlite_uri(storage / "mlflow.db"), name)
        tuned = [run for run in runs.cells if run.params[PARAM_STAGE] == Stage.FINETUNE]
        seeds = sorted({int(run.params[PARAM_SEED]) for run in tuned})
        starts = range(0, len(seeds) - grid_seeds + 1, grid_seeds)
        grids = [
            verdicts(runs, set(seeds[start : start + grid_seeds]), storage) for start in starts
        ]
        every = verdicts(runs, set(seeds), storage)
        for asked in answerable(plant.axes(grid_seeds)):
            if not asked.can:
                continue
            one = Counted(
                Counter(grid[asked.claim] for grid in grids),
                every[asked.claim],
                plant.planted.get(asked.claim),
            )
            said = ", ".join(f"{verdict} {number}" for verdict, number in one.said.most_common())
            print(
                f"| {name} | {asked.claim} | {len(grids)} | {said} | {one.planted or ''} | "
                f"{one.by_seeds} | {one.right} | {one.wrong} | {one.undecided} |",
                flush=True,
            )
            if one.truth is not Verdict.UNDECIDED:
                total.update(
                    grids=len(grids), right=one.right, wrong=one.wrong, undecided=one.undecided
                )
    if total["grids"]:
        shares = ", ".join(
            f"{kind} {total[kind] / total['grids']:.0%}" for kind in ("right", "wrong", "undecided")
        )
        print(f"Of {total['grids']} verdicts whose truth is known: {shares}.")
    else:
        print("No verdict whose truth is known.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("plants", nargs="*", metavar="PLANT", help=", ".join(PLANTS))
    parser.add_argument("--seeds", type=int, default=20, help="of every plant [20]")
    parser.add_argument("--grid-seeds", type=int, default=2, help="of every grid judged [2]")
    parser.add_argument("--storage", type=Path, default=Path("runs/verdicts"))
    options = parser.parse_args()
    if unknown := set(options.plants) - set(PLANTS):
        parser.error(f"plants: expected some of {', '.join(PLANTS)}, got {', '.join(unknown)}")
    names = options.plants or list(PLANTS)
    if options.what == "train":
        return train(names, options.seeds, options.storage)
    judge(options.storage, names, options.grid_seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
