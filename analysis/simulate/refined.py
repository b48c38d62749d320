"""Simulated sweeps to which seeds are added until intervals are narrow: is coverage still nominal?

python -m analysis.simulate.refined --trials 400
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means
from analysis.refine.rule import PrecisionRule, cell_frame
from analysis.simulate.world import LAW, Curve, Noise
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.grid.cell import Cell
from raydt.grid.refining import Known
from raydt.grid.result import Result
from raydt.tracking.schema import Stage, Status
from raydt.units import Size, format_bytes

CONFIDENCE = 0.90
_MODEL = "planted"
# Bytes seen per second, and passes over them: only the ratio of costs of cells matters.
_BYTES_PER_SECOND = 1e5
_PASSES = 25
_NUM_RESAMPLES = 300


@dataclass(frozen=True)
class PlannedWorld:
    """Sources into targets, with log(D_E / D_F) equal over sizes, plus an effect of the target."""

    num_sources: int = 3
    num_targets: int = 2
    num_seeds: int = 2
    sizes: tuple[int, ...] = (32_000,)
    rungs: tuple[int, ...] = tuple(8_000 * 4**rung for rung in range(6))
    pretrain_bytes: int = 800_000
    gains: tuple[float, ...] = (1.0, 0.4, 0.1)
    curve: Curve = LAW
    noise: Noise = field(default_factory=Noise)

    def cells(self, num_seeds: int) -> list[Cell]:
        """The declared grid with this many seeds, parents first."""
        found: list[Cell] = []
        for seed in range(num_seeds):
            for target in range(self.num_targets):
                found += [
                    Cell(Stage.SCRATCH, None, f"t{target}", _size(rung), seed, _MODEL)
                    for rung in self.rungs
                ]
            for source in range(self.num_sources):
                size = _size(self.pretrain_bytes)
                pretrain = Cell(Stage.PRETRAIN, f"s{source}", None, size, seed, _MODEL)
                found.append(pretrain)
                found += [
                    Cell(
                        Stage.FINETUNE,
                        f"s{source}",
                        f"t{target}",
                        _size(size_bytes),
                        seed,
                        _MODEL,
                        pretrain.cell_id,
                    )
                    for target in range(self.num_targets)
                    for size_bytes in self.sizes
                ]
        return found


def _size(num_bytes: int) -> Size:
    return Size(num_bytes, format_bytes(num_bytes))


def seconds_of(cell: Cell) -> float:
    """The cost of a cell: a source is read once, everything else repeatedly."""
    passes = 1 if cell.stage is Stage.PRETRAIN else _PASSES
    return cell.size.num_bytes * passes / _BYTES_PER_SECOND + 0.5


@dataclass
class Trained:
    """A simulated sweep during training: the loss of a cell is drawn when it is first needed."""

    world: PlannedWorld
    random: np.random.Generator
    cells: list[Cell] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    seconds: float = 0.0
    _luck: dict[str, float] = field(default_factory=dict)

    def train(self, cells: list[Cell]) -> None:
        """Train these."""
        for cell in cells:
            self.cells.append(cell)
            self.seconds += seconds_of(cell)
            self.results[cell.cell_id] = Result(
                cell_id=cell.cell_id,
                fingerprint="",
                attempt="0",
                model=cell.model,
                time=0.0,
                status=Status.DONE,
                test_loss=float(np.exp(self._log_loss(cell))),
                bytes_seen=0,
                training_seconds=seconds_of(cell),
            )

    def known(self) -> Known:
        """The state that the rule receives."""
        return Known(self.cells, self.results, frozenset(), seconds_of)

    def effective_bytes(self, source: str, num_bytes: float) -> float:
        """The true D_E."""
        gain = self.world.gains[int(source[1:]) % len(self.world.gains)]
        return num_bytes * float(np.exp(gain))

    def _log_loss(self, cell: Cell) -> float:
        noise, curve = self.world.noise, self.world.curve
        if cell.stage is Stage.PRETRAIN:
            self._luck[cell.cell_id] = noise.pretrain * self.random.standard_normal()
            return 0.0
        num_bytes, luck = float(cell.size.num_bytes), 0.0
        if cell.source is not None:
            num_bytes = self.effective_bytes(cell.source, num_bytes)
            luck = self._luck[str(cell.parent_id)]
        own = noise.own * self.random.standard_normal()
        return float(curve(np.array(num_bytes))) + luck + own


def refined(
    world: PlannedWorld,
    until: float,
    random: np.random.Generator,
    *,
    most_steps: int = 60,
    on_bought: Callable[[Trained, float], None] = lambda *_: None,
) -> Trained:
    """A sweep to which seeds are added until `until`."""
    trained = Trained(world, random)
    trained.train(world.cells(world.num_seeds))
    rule = PrecisionRule(until, CONFIDENCE, _NUM_RESAMPLES)
    for _ in range(most_steps):
        choice = rule.choose(trained.known())
        on_bought(trained, choice.widest)
        if not choice.cells:
            break
        trained.train(list(choice.cells))
    return trained


def covered(trained: Trained) -> list[bool]:
    """Whether each interval covers the true D_E."""
    table = cell_frame(trained.cells, trained.known())
    means = cell_means(table)
    noise = pooled_noise(means, table)
    drawn = draw_means(
        means, noise, num_resamples=_NUM_RESAMPLES, random=np.random.default_rng(0), cells=table
    )
    found = effective_table(means, Resamples(drawn, CONFIDENCE), noise=noise)
    answers = []
    for row in found.to_dict("records"):
        true = trained.effective_bytes(row["source"], float(row["finetune_bytes"]))
        low = row["effective_low_bytes"] if row["low_range"] == "inside" else -np.inf
        high = row["effective_high_bytes"] if row["high_range"] == "inside" else np.inf
        answers.append(bool(low <= true <= high))
    return answers


# Two seeds each, until all intervals are within a factor that a third of them exceed initially.
WORLDS = {
    "noise as measured": PlannedWorld(),
    "runs alone": PlannedWorld(noise=Noise(own=0.008, pretrain=0.0)),
    "pretrains alone": PlannedWorld(noise=Noise(own=0.001, pretrain=0.009)),
    "no transfer": PlannedWorld(gains=(0.0, 0.0, 0.0)),
}
UNTIL = 1.25


@dataclass
class Tally:
    """Results of the grids of a world."""

    before: list[float] = field(default_factory=list)  # covered, by interval
    after: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)  # runs, by grid
    reached: list[float] = field(default_factory=list)


def tallied(world: PlannedWorld, num_trials: int, random_seed: int) -> Tally:
    """Results for grids of a world, as declared and as refined."""
    tally = Tally()
    for stream in np.random.default_rng(random_seed).spawn(num_trials):
        first: list[bool] = []
        last = [np.inf]

        def look(
            trained: Trained, widest: float, first: list[bool] = first, last: list[float] = last
        ) -> None:
            if not first:
                first += covered(trained)
            last[0] = widest

        trained = refined(world, UNTIL, stream, on_bought=look)
        tally.before += first
        tally.after += covered(trained)
        tally.added.append(len(trained.cells) - len(world.cells(world.num_seeds)))
        tally.reached.append(float(last[0] <= UNTIL))
    return tally


def rows(num_trials: int, random_seed: int) -> Iterator[list[str]]:
    """The table, one row per world, as each is completed."""
    yield ["world", "as declared", "refined", "runs added", "narrow enough"]
    for name, world in WORLDS.items():
        tally = tallied(world, num_trials, random_seed)
        yield [
            name,
            f"{np.mean(tally.before):.1%}",
            f"{np.mean(tally.after):.1%}",
            f"{np.mean(tally.added):.1f}",
            f"{np.mean(tally.reached):.0%}",
        ]


def main() -> None:
    """Print the coverage of intervals, as declared and as refined."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--random-seed", type=int, default=0)
    options = parser.parse_args()
    for number, row in enumerate(rows(options.trials, options.random_seed)):
        print(f"| {' | '.join(row)} |", flush=True)
        if number == 0:
            print("|" + "---|" * len(row))


if __name__ == "__main__":
    main()
