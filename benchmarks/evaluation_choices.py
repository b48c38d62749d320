"""What smaller splits and fewer evaluations would cost: wrong checkpoints and standard errors.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/evaluation_choices.py
    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/evaluation_choices.py ../shared/corpora/fi.txt

Scratch cells of `nano` at the demo's sizes, by seeds. At each evaluation the loss of every byte of
8 kB of `val` and 32 kB of `test` is kept; afterwards other protocols choose among the same weights.
"Lost" is the test loss of their choice above that of the whole `val`'s, in nats per byte. "se" is
the standard error of a test loss over documents, and "se of a difference" that of the difference
between two cells of a size, which are tested on the same bytes: it is what D_T rests on, where two
losses of one target are compared. Beside it stands the standard deviation between seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol, forwarded_bytes
from raydt.corpora.controlled.catalog import generate
from raydt.model.decoder import Decoder
from raydt.training import loop
from raydt.training.evaluate import Evaluation, Evaluator
from raydt.training.heap import keep_freed_memory
from raydt.training.loop import Splits, TrainConfig, train

SIZES, SEEDS = (2_000, 8_000, 32_000, 128_000), (0, 1, 2, 3)
# Evaluations, bytes of val, bytes of test.
CHOICES = (
    (8, 8_000, 32_000), (8, 4_000, 32_000), (8, 2_000, 32_000), (4, 8_000, 32_000),
    (8, 4_000, 16_000), (8, 2_000, 16_000), (8, 2_000, 8_000), (8, 1_000, 4_000),
)  # fmt: skip
VAL_BYTES, TEST_BYTES = 8_000, 32_000  # what is kept of
Losses = NDArray[np.float64]


class Keeping(Evaluator):
    """Keeps what each evaluation of `val` says of every byte of both splits."""

    val: NDArray[np.uint8]
    test: NDArray[np.uint8]
    kept: list[tuple[Losses, Losses]]

    def evaluate(self, model: Decoder, data: NDArray[np.uint8]) -> Evaluation:
        if len(data) == len(self.val):
            Keeping.kept.append((self.byte_losses(model, data), self.byte_losses(model, self.test)))
        return super().evaluate(model, data)


def standard_error(losses: Losses, data: NDArray[np.uint8]) -> float:
    """Over documents, as `Evaluator.evaluate` has it."""
    starts = np.concatenate([[0], np.flatnonzero(data[:-1] == 0) + 1])
    lengths = np.diff(np.append(starts, len(losses)))
    residual = np.add.reduceat(losses, starts) - losses.mean() * lengths
    count = len(starts)
    return float(np.sqrt((residual**2).sum() * count / (count - 1)) / len(losses))


def splits(path: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Train, val and test of `alba`, or of a text file whose lines are the documents."""
    num_bytes = {"val": VAL_BYTES, "test": TEST_BYTES, "train": max(SIZES)}
    if path is None:
        val, test, train = (generate("alba", split, n, 0) for split, n in num_bytes.items())
        return train, val, test
    text = np.frombuffer(path.read_bytes().replace(b"\n", b"\0"), np.uint8)
    val, test, train, _ = np.split(text, np.cumsum(list(num_bytes.values())))
    return train, val, test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", nargs="?", type=Path, help="lines are documents; without it alba")
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    protocol, model = Protocol(), MODELS["nano"]
    text, Keeping.val, Keeping.test = splits(parser.parse_args().text)
    loop.Evaluator = Keeping  # type: ignore[misc]
    cells: dict[tuple[int, int], tuple[Losses, Losses]] = {}
    for size_bytes in SIZES:
        for seed in SEEDS:
            Keeping.kept = []
            config = TrainConfig(model, protocol.scratch, size_bytes, seed, 8, patience=8)
            train(config, Splits(text[:size_bytes], Keeping.val, Keeping.test))
            val, test = (np.stack(losses) for losses in zip(*Keeping.kept, strict=True))
            cells[size_bytes, seed] = val, test
    table = Table("evaluations", "val", "test", "wrong", "lost at most",
                  *(f"{what} {size:,}" for what in ("se", "se of a difference", "FLOPs %")
                    for size in SIZES))  # fmt: skip
    for evaluations, val_bytes, test_bytes in CHOICES:
        among = range(8 // evaluations - 1, 8, 8 // evaluations)
        lost: list[float] = []
        errors, paired, shares = [], [], []
        tested = Keeping.test[:test_bytes]
        for size_bytes in SIZES:
            chosen = []
            for seed in SEEDS:
                val, test = cells[size_bytes, seed]
                full = int(val.mean(axis=1).argmin())
                best = min(among, key=lambda i: float(val[i, :val_bytes].mean()))
                if best != full:
                    lost.append(float(test[best].mean() - test[full].mean()))
                chosen.append(test[best, :test_bytes])
            errors.append(np.mean([standard_error(losses, tested) for losses in chosen]))
            pairs = itertools.combinations(chosen, 2)
            paired.append(np.mean([standard_error(a - b, tested) for a, b in pairs]))
            forward = evaluations * forwarded_bytes(val_bytes, model.window_bytes)
            forward += forwarded_bytes(test_bytes, model.window_bytes)
            shares.append(100 * forward / (forward + 3 * protocol.scratch.budget(size_bytes)))
        table.add_row(
            str(evaluations), f"{val_bytes:,}", f"{test_bytes:,}", f"{len(lost)} of {len(cells)}",
            f"{max(lost, default=0):.4f}", *(f"{error:.4f}" for error in errors + paired),
            *(f"{share:.1f}" for share in shares),
        )  # fmt: skip
    console = Console(width=200)
    console.print(table)
    for size_bytes in SIZES:
        losses = [cells[size_bytes, s][1][cells[size_bytes, s][0].mean(axis=1).argmin()].mean()
                  for s in SEEDS]  # fmt: skip
        console.print(
            f"{size_bytes:,}: standard deviation between seeds {np.std(losses, ddof=1):.4f}"
        )


if __name__ == "__main__":
    main()
