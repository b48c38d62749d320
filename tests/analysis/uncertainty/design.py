"""A planted grid of sources and targets that differ, for the noise of seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from raydt.tracking.schema import Stage, Status


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
