"""A grid with planted effects: sources x targets of real names, through ladders and estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.claims.evidence import Evidence, evidence
from analysis.distances.table import language_distances
from analysis.effective import Resamples, effective_with_draws
from analysis.ladder import cell_means
from analysis.table import COLUMNS
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.units import format_bytes

FIVE = ("ar", "de", "en", "es", "fi")
TEN = ("ar", "de", "en", "es", "fi", "ja", "ko", "pt", "ru", "zh")


@dataclass(frozen=True)
class PlantedGrid:
    """log(D_E / D_F) = base + fade·log10(D_F / smallest) + source + target - slope·distance.

    `hurt` adds to the log loss of finetunes by size; noise is the sd of log loss between seeds.
    """

    languages: tuple[str, ...] = FIVE
    sizes: tuple[int, ...] = (8_000, 32_000, 128_000)
    base: float = 1.6
    fade: float = -0.5
    source: Mapping[str, float] = field(default_factory=dict)
    target: Mapping[str, float] = field(default_factory=dict)
    slope: float = 0.0
    kind: str = "syntactic"
    pair_noise: float = 0.0  # sd of log D_E between pairs
    hurt: Mapping[int, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1)
    noise: float = 0.001
    models: tuple[str, ...] = ("tiny",)
    random_seed: int = 0

    def cells(self) -> pd.DataFrame:
        """The tidy table, columns `analysis.table.COLUMNS`."""
        random = np.random.default_rng(self.random_seed)
        long = language_distances(self.languages)
        distance = long.set_index(["language", "other"])[self.kind].fillna(0.5).to_dict()
        ladder = [self.sizes[0] // 16, self.sizes[0] // 4, *self.sizes]
        ladder += [self.sizes[-1] * 4**step for step in (1, 2, 3)]
        rows: list[dict[str, object]] = []

        def add(
            model: str,
            stage: str,
            source: str | None,
            target: str,
            size: int,
            loss: float,
            seed: int,
        ) -> None:
            rows.append(
                {
                    "cell_id": f"{model}/{stage}/{source}-{target}/{size}/s{seed}",
                    "stage": stage,
                    "source": source,
                    "target": target,
                    "size": format_bytes(size),
                    "size_bytes": size,
                    "seed": seed,
                    "model": model,
                    "status": "done",
                    "stopped": "converged",
                    "test_loss": loss * np.exp(self.noise * random.standard_normal()),
                }
            )

        for number, model in enumerate(self.models):
            for target in self.languages:
                for size in ladder:
                    for seed in self.seeds:
                        add(model, "scratch", None, target, size, self.loss(size, number), seed)
                for source in self.languages:
                    if source == target:
                        continue
                    pair = self.pair_noise * random.standard_normal()
                    pair += self.source.get(source, 0) + self.target.get(target, 0)
                    pair -= self.slope * (distance[source, target] - 0.5)
                    for size in self.sizes:
                        grows = self.base + self.fade * np.log10(size / self.sizes[0]) + pair
                        loss = self.loss(size * np.exp(grows), number)
                        loss *= np.exp(self.hurt.get(size, 0))
                        for seed in self.seeds:
                            add(model, "finetune", source, target, size, loss, seed)
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    @staticmethod
    def loss(num_bytes: float, model: int = 0) -> float:
        """Scratch loss, nats per byte; without E, so that the log-log ladder is a line."""
        return float(20 * num_bytes ** -(0.25 + 0.02 * model))

    def effective(self, num_resamples: int = 200) -> pd.DataFrame:
        """The table of `analysis.effective`."""
        return self.known(num_resamples)[0]

    def known(self, num_resamples: int = 200) -> tuple[pd.DataFrame, Evidence]:
        """The table of `analysis.effective`, and what claims know of its noise."""
        cells = self.cells()
        means = cell_means(cells)
        noise = pooled_noise(means, cells)
        drawn = draw_means(
            means, noise, num_resamples=num_resamples, random=np.random.default_rng(0), cells=cells
        )
        effective, draws = effective_with_draws(means, Resamples(drawn, 0.9), noise=noise)
        return effective, evidence(effective, means, noise, draws)
