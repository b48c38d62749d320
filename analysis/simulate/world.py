"""Simulated grids like those of a sweep: every D_F a rung, finetunes of a seed on one pretrain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from raydt.tracking.schema import Stage, Status
from raydt.units import format_bytes

TEN = ("ar", "de", "en", "es", "fi", "ja", "ko", "pt", "ru", "zh")
MODEL = "planted"

Curve = Callable[[Floats], Floats]  # bytes -> log of nats per byte
# (random, languages, D_F) -> log(D_E / D_F), (sources, targets, sizes)
Plant = Callable[[np.random.Generator, tuple[str, ...], Floats], Floats]


def law(E: float = 0.9, B: float = 20.0, beta: float = 0.35) -> Curve:
    """A scaling law with an irreducible loss."""
    return lambda num_bytes: np.asarray(np.log(E + B * num_bytes**-beta))


def sigmoid(num_bytes: Floats) -> Floats:
    """A loss that falls from 2.2 to 0.9 nats around 100 kB, and is flat on either side."""
    return np.asarray(np.log(0.9 + 1.3 / (1 + (num_bytes / 1e5) ** 0.9)))


def step_limited(num_bytes: Floats) -> Floats:
    """A law whose small rungs are limited by steps: it steepens, then flattens."""
    fade = 1 / (1 + (num_bytes / 3e4) ** -1.5)
    return np.asarray(np.log(0.9 + 20 * num_bytes**-0.35) + 0.15 * (1 - fade))


LAW = law()


@dataclass(frozen=True)
class Noise:
    """Standard deviations of log loss.

    own: of every run; pretrain: shared by all finetunes of one (source, seed); scratch: shared by
    all rungs of one (target, seed); growth: own noise scales with (D / smallest D)^growth.
    """

    own: float = 0.004
    pretrain: float = 0.008
    scratch: float = 0.0
    growth: float = 0.0


@dataclass(frozen=True)
class World:
    """A grid of languages into one another, and what is true of it."""

    languages: tuple[str, ...]
    num_seeds: int
    plant: Plant
    curve: Curve = LAW
    sizes: tuple[int, ...] = (8_000, 32_000, 128_000)
    rungs: tuple[int, ...] = tuple(8_000 * 4**rung for rung in range(6))
    noise: Noise = Noise()
    # Log loss above scratch of one finetune, of the first two languages at the largest D_F.
    harm: float | None = None

    def grow(self, random: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
        """Cells with the columns that the analysis reads, and the true log(D_E / D_F) (S, T, X);
        NaN where source and target are the same."""
        sizes, rungs = (np.array(one, dtype=float) for one in (self.sizes, self.rungs))
        number, seeds = len(self.languages), self.num_seeds
        log_ratio = np.broadcast_to(
            self.plant(random, self.languages, sizes), (number, number, len(sizes))
        ).copy()
        log_ratio[np.arange(number), np.arange(number)] = np.nan
        normal = random.standard_normal
        scratch = np.broadcast_to(self.curve(rungs)[None, :, None], (number, len(rungs), seeds))
        scratch = scratch + self.noise.scratch * normal((number, 1, seeds))
        scratch = scratch + self._own(rungs)[:, None] * normal(scratch.shape)
        tuned = self.curve(sizes * np.exp(log_ratio))
        if self.harm is not None:
            tuned[0, 1, -1] = self.curve(sizes)[-1] + self.harm
        tuned = tuned[..., None] + self.noise.pretrain * normal((number, 1, 1, seeds))
        tuned = tuned + self._own(sizes)[:, None] * normal(tuned.shape)
        return pd.concat([self._scratch(scratch), self._tuned(tuned)], ignore_index=True), log_ratio

    def _own(self, num_bytes: Floats) -> Floats:
        return np.asarray(self.noise.own * (num_bytes / num_bytes.min()) ** self.noise.growth)

    def _scratch(self, log_loss: Floats) -> pd.DataFrame:
        target, rung, seed = (axis.ravel() for axis in np.indices(log_loss.shape))
        return self._frame(Stage.SCRATCH, None, target, np.array(self.rungs)[rung], seed, log_loss)

    def _tuned(self, log_loss: Floats) -> pd.DataFrame:
        source, target, size, seed = (axis.ravel() for axis in np.indices(log_loss.shape))
        names = np.array(self.languages)[source]
        frame = self._frame(
            Stage.FINETUNE, names, target, np.array(self.sizes)[size], seed, log_loss
        )
        return frame[source != target]

    def _frame(
        self,
        stage: Stage,
        source: object,
        target: np.ndarray,
        size_bytes: np.ndarray,
        seed: np.ndarray,
        log_loss: Floats,
    ) -> pd.DataFrame:
        labels = {size: format_bytes(size) for size in {*self.sizes, *self.rungs}}
        return pd.DataFrame(
            {
                "model": MODEL,
                "stage": stage.value,
                "source": source,
                "target": np.array(self.languages)[target],
                "size": [labels[int(size)] for size in size_bytes],
                "size_bytes": size_bytes,
                "seed": seed,
                "status": Status.DONE.value,
                "test_loss": np.exp(log_loss.ravel()),
            }
        )
