"""Do the intervals hold what they say? A simulation on planted grids.

python -m analysis.coverage --trials 500 --seeds 2 3 5
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.effective import Resamples, effective_table
from analysis.estimators.answer import Range
from analysis.ladder import cell_means
from analysis.laws.scaling import ScalingLaw
from analysis.laws.transfer import TransferLaw
from analysis.quantiles import ordered_quantiles
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from analysis.uncertainty.transfer import transfer_draws
from raydt.tracking.schema import Stage, Status

CONFIDENCE = 0.90


@dataclass(frozen=True)
class Design:
    """A planted grid: ladders E + B·D^-beta, finetunes with D_T = k·D_F^alpha, and their noise.

    sd_own and sd_shared are standard deviations of log loss: of every run, and of what all
    finetunes of one (source, seed) have in common.
    """

    num_sources: int = 3
    num_targets: int = 3
    num_seeds: int = 3
    finetune_bytes: tuple[int, ...] = (8_000, 32_000, 128_000)
    ladder_bytes: tuple[int, ...] = tuple(4_000 * 4**rung for rung in range(6))
    sd_own: float = 0.004
    sd_shared: float = 0.008
    E: float = 0.9
    B: float = 20.0
    beta: float = 0.35
    k: float = 300.0
    alpha: float = 0.5

    def cells(self, random: np.random.Generator) -> pd.DataFrame:
        """One row a run, with the columns of `analysis.table` that ladders and noise need."""
        seeds = range(self.num_seeds)
        scratch = pd.MultiIndex.from_product(
            [range(self.num_targets), self.ladder_bytes, seeds],
            names=["target", "size_bytes", "seed"],
        ).to_frame(index=False)
        tuned = pd.MultiIndex.from_product(
            [range(self.num_sources), range(self.num_targets), self.finetune_bytes, seeds],
            names=["number", "target", "size_bytes", "seed"],
        ).to_frame(index=False)
        luck = self.sd_shared * random.standard_normal((self.num_sources, self.num_seeds))
        size = tuned["size_bytes"].to_numpy(dtype=float)
        scratch["log_loss"] = self._log_loss(scratch["size_bytes"].to_numpy(dtype=float))
        tuned["log_loss"] = self._log_loss(size + self.k * size**self.alpha)
        tuned["log_loss"] += luck[tuned["number"], tuned["seed"]]
        tuned["source"] = "s" + tuned["number"].astype(str)
        cells = pd.concat(
            [
                scratch.assign(stage=Stage.SCRATCH.value, source=None),
                tuned.assign(stage=Stage.FINETUNE.value),
            ],
            ignore_index=True,
        )
        noisy = cells["log_loss"] + self.sd_own * random.standard_normal(len(cells))
        return pd.DataFrame(
            {
                "model": "planted",
                "stage": cells["stage"],
                "source": cells["source"],
                "target": "t" + cells["target"].astype(str),
                "size": cells["size_bytes"].astype(str),
                "size_bytes": cells["size_bytes"],
                "seed": cells["seed"],
                "status": Status.DONE.value,
                "test_loss": np.exp(noisy),
            }
        )

    def _log_loss(self, num_bytes: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(self.E + self.B * num_bytes**-self.beta))


def coverage(
    design: Design,
    *,
    num_trials: int,
    num_resamples: int = 300,
    random_seed: int = 0,
    shared: bool = True,
) -> pd.DataFrame:
    """Shares of nominal 90 % intervals that hold the truth: columns of, coverage, trials.

    The truth of D_T, and of the law of transfer, is what estimator and fit say of the grid without
    noise: that interpolating between rungs has an error too is another matter. `shared=False`
    treats every run as independent, for comparison.
    """
    without_noise = replace(design, sd_own=0.0, sd_shared=0.0)
    exact = cell_means(without_noise.cells(np.random.default_rng(0)))
    truth = effective_table(exact, Resamples(np.full((1, len(exact)), np.nan), CONFIDENCE))
    true = truth["transferred_bytes"].to_numpy(dtype=float)
    held: dict[str, list[bool]] = {
        "D_T": [],
        "alpha of a pair": [],
        "k of a pair": [],
        "alpha of a source": [],
        "mean log D_T of a source": [],
        "beta of a ladder": [],
        "E of a ladder": [],
    }
    for trial in range(num_trials):
        random = np.random.default_rng([random_seed, trial])
        cells = design.cells(random)
        means = cell_means(cells)
        drawn = draw_means(
            means,
            pooled_noise(means, cells if shared else None),
            num_resamples=num_resamples,
            random=random,
            cells=cells,
        )
        # The table's own intervals are these quantiles (a test holds it); drawn once is enough.
        table = effective_table(means, Resamples(np.full_like(drawn[:1], np.nan), CONFIDENCE))
        draws = transfer_draws(table, means, drawn)
        moved = draws.transferred_bytes.copy()
        moved[draws.range == Range.BELOW] = -np.inf
        moved[draws.range == Range.ABOVE] = np.inf
        low, high = np.array([ordered_quantiles(each, CONFIDENCE) for each in moved.T]).T
        held["D_T"] += list((low <= true) & (true <= high))
        source = f"s{trial % design.num_sources}"
        target = f"t{trial // design.num_sources % design.num_targets}"
        of_source = (table["source"] == source).to_numpy()
        of_pair = of_source & (table["target"] == target).to_numpy()
        for name, rows in (("pair", of_pair), ("source", of_source)):
            places = np.flatnonzero(rows)
            size = truth["finetune_bytes"].to_numpy(dtype=float)[places]
            planted = TransferLaw().fit(size, truth["transferred_bytes"].to_numpy()[places])
            law = TransferLaw(confidence=CONFIDENCE).fit(
                size,
                table["transferred_bytes"].to_numpy()[places],
                range=list(table["range"].iloc[places]),
                resampled=draws.of(places),
            )
            ends = law.summary.loc["alpha"]
            held[f"alpha of a {name}"].append(ends["low"] <= planted.alpha_ <= ends["high"])
            if name == "pair":
                ends = law.summary.loc["k"]
                held["k of a pair"].append(ends["low"] <= planted.k_ <= ends["high"])
            else:
                logs = np.log(np.maximum(draws.transferred_bytes[:, places], 1.0)).mean(axis=1)
                ends = np.quantile(logs, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
                mean = float(np.log(truth["transferred_bytes"].iloc[places]).mean())
                held["mean log D_T of a source"].append(ends[0] <= mean <= ends[1])

        rungs = means[(means["stage"] == Stage.SCRATCH) & (means["target"] == target)]
        fit = ScalingLaw(irreducible=True).fit(
            rungs["size_bytes"].to_numpy(dtype=float),
            np.exp(rungs["log_loss"].to_numpy(dtype=float)),
            resampled_loss=np.exp(drawn[:, rungs.index.to_numpy()]),
            confidence=CONFIDENCE,
        )
        for parameter, value in (("beta", design.beta), ("E", design.E)):
            ends = fit.summary.loc[parameter]
            held[f"{parameter} of a ladder"].append(ends["low"] <= value <= ends["high"])
    rows = [(name, float(np.mean(each)), len(each)) for name, each in held.items()]
    return pd.DataFrame(rows, columns=["of", "coverage", "trials"])


def main() -> None:
    """Print coverage for designs of several numbers of seeds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--independent", action="store_true", help="ignore what pretrains share")
    options = parser.parse_args()
    columns = {}
    for number in options.seeds:
        found = coverage(
            Design(num_seeds=number),
            num_trials=options.trials,
            num_resamples=options.resamples,
            shared=not options.independent,
        )
        columns[f"{number} seeds"] = found.set_index("of")["coverage"]
    print(pd.DataFrame(columns).rename_axis(None).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
