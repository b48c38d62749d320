"""Cells, and a sweep of them whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from raydt.tracking.schema import Stage, Status, Stop
from raydt.units import format_bytes


@dataclass(frozen=True)
class Cell:
    """A cell to be written; `None` leaves a param, tag or metric out."""

    stage: str
    source: str | None
    target: str | None
    size_bytes: int
    seed: int = 0
    model: str = "tiny"
    status: str = Status.DONE
    loss: float | None = 1.0
    stopped: str | None = Stop.CONVERGED
    reason: str | None = None
    label: str | None = None  # of the size, where it is not what the bytes print as
    fingerprint: str | None = None
    precision: str | None = None
    unfinished: float | None = None
    unseen_share: float | None = None
    source_loss: float | None = None
    source_loss_rise: float | None = None
    mixture: str | None = None  # the tag of a source that is several languages

    @property
    def size(self) -> str:
        return self.label or format_bytes(self.size_bytes)

    @property
    def cell_id(self) -> str:
        pair = "-".join(name for name in (self.source, self.target) if name)
        return f"{self.stage}/{pair}/{self.size}/s{self.seed}"

    @property
    def parent_cell_id(self) -> str | None:
        if self.stage in (Stage.FINETUNE, Stage.ZEROSHOT):
            return f"pretrain/{self.source}/500k/s{self.seed}"
        return None


def curve(num_bytes: float, E: float = 0.9, B: float = 20.0, beta: float = 0.35) -> float:
    """The planted scratch loss, nats per byte."""
    return E + B * float(num_bytes) ** -beta


@dataclass(frozen=True)
class Planted:
    """Finetuned on D_F, a source has the loss scratch would have at D_F + worth."""

    worth: dict[str, int] = field(default_factory=lambda: {"near": 40_000, "far": 6_000})
    targets: tuple[str, ...] = ("de", "fi")
    ladder: tuple[int, ...] = (8_000, 32_000, 128_000, 512_000)
    finetune: tuple[int, ...] = (8_000, 32_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    noise: float = 0.002  # sd of log loss between seeds
    random_seed: int = 1

    def cells(self) -> list[Cell]:
        random = np.random.default_rng(self.random_seed)

        def noisy(loss: float) -> float:
            return float(loss * np.exp(self.noise * random.standard_normal()))

        found = []
        for seed in self.seeds:
            found += [Cell(Stage.PRETRAIN, source, None, 500_000, seed) for source in self.worth]
            for target in self.targets:
                found += [
                    Cell(Stage.SCRATCH, None, target, size, seed, loss=noisy(curve(size)))
                    for size in self.ladder
                ]
                for source, worth in self.worth.items():
                    found += [
                        Cell(
                            Stage.FINETUNE,
                            source,
                            target,
                            size,
                            seed,
                            loss=noisy(curve(size + worth)),
                        )
                        for size in self.finetune
                    ]
                    found.append(
                        Cell(
                            Stage.ZEROSHOT,
                            source,
                            target,
                            0,
                            seed,
                            loss=noisy(curve(worth)),
                            stopped=Stop.EVALUATED,
                        )
                    )
        return found
