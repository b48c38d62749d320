"""CPU seconds of the statistics on a planted grid of about 10,000 runs, step by step.

python benchmarks/statistics_steps.py [--resamples 1000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from analysis.coverage import CONFIDENCE, Design
from analysis.effective import Resamples, effective_table
from analysis.ladder import cell_means, ladders
from analysis.laws.ladders import fit_ladders
from analysis.laws.one_law import one_law_tests
from analysis.laws.transfer_table import transfer_laws
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from analysis.uncertainty.transfer import transfer_draws
from raydt.tracking.schema import Stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resamples", type=int, default=1000)
    num_resamples = parser.parse_args().resamples
    sizes = tuple(8_000 * 2**step for step in range(5))
    design = Design(num_sources=20, num_targets=20, num_seeds=5, finetune_bytes=sizes)
    random = np.random.default_rng(0)
    cells = design.cells(random)
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
    effective = effective_table(means, Resamples(drawn, CONFIDENCE))
    lap("D_E with intervals")
    draws = transfer_draws(effective, means, drawn)
    lap("resampled D_T")
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
