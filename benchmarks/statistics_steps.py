"""CPU seconds of the statistics on a simulated grid of about 10,000 runs, step by step.

python benchmarks/statistics_steps.py [--resamples 1000]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from analysis.effective import Resamples, effective_with_draws
from analysis.ladder import cell_means, ladders
from analysis.laws.ladders import fit_ladders
from analysis.laws.one_law import one_law_tests
from analysis.laws.transfer_table import transfer_laws
from analysis.simulate.plants import ALPHA, power_law
from analysis.simulate.trial import CONFIDENCE
from analysis.simulate.world import World
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.tracking.schema import Stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resamples", type=int, default=1000)
    num_resamples = parser.parse_args().resamples
    sizes = tuple(8_000 * 2**step for step in range(5))
    languages = tuple(f"l{number}" for number in range(20))
    world = World(languages, 5, power_law(300.0, ALPHA), sizes=sizes)
    world = replace(world, rungs=(*sizes, 512_000, 2_048_000))
    random = np.random.default_rng(0)
    cells, _ = world.grow(random)
    last = time.process_time()

    def lap(what: str) -> None:
        nonlocal last
        now = time.process_time()
        print(f"{what:<28}{now - last:6.2f}")
        last = now

    print(f"{len(cells):,} runs, {num_resamples} resamples: CPU seconds")
    means = cell_means(cells)
    noise = pooled_noise(means, cells)
    drawn = draw_means(means, noise, num_resamples=num_resamples, random=random, cells=cells)
    lap("components and resamples")
    effective, draws = effective_with_draws(means, Resamples(drawn, CONFIDENCE), noise=noise)
    lap("D_E with intervals")
    resampled = {}
    for (model, target), rungs in means[means["stage"] == Stage.SCRATCH].groupby(
        ["model", "target"]
    ):
        resampled[str(model), str(target)] = drawn[:, rungs.index.to_numpy()]
    laws, _ = fit_ladders(ladders(means), resampled, CONFIDENCE)
    lap(f"{len(laws)} ladder laws")
    found = transfer_laws(effective, draws=draws)
    lap(f"{len(found)} transfer laws")
    one_law_tests(effective, draws=draws)
    lap("one law for all sources")


if __name__ == "__main__":
    main()
