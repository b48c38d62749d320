r"""How large must `val` be so that its decisions cost less than the noise of seeds?

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/evaluation_choices.py
    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/evaluation_choices.py \
        --corpora ../shared/corpora --languages alba fi --sizes 2000 8000 32000 --seeds 0 1 2 3

Scratch cells of `nano` with the default protocol, but without `tolerance`: each trains until four
evaluations on 32 kB of `val` were no better, so its curve extends past the end of the default. The
losses of every evaluation on `val` and on 64 kB of `test` are kept. Afterwards prefixes of `val`
(2 kB to 32 kB) decide by the default's rules where the cell ends, and which of the evaluations up
to there is selected.

- lost: the log test loss of the selected evaluation, minus the best of the curve on `test` itself;
  means over seeds. "at most" is the worst seed's. `choice alone`: the same without ending early,
  where `val` only selects among all evaluations.
- seeds: standard deviation over seeds of the log test loss selected by 32 kB. A `val` should lose
  less than that.
- ended: bytes seen where it ends, median.

Real languages are held out as raydt lays them out: excerpts of 1 kB, each of another document.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.corpora.controlled.catalog import generate
from raydt.model.decoder import Decoder
from raydt.tracking.schema import Stage
from raydt.training import loop
from raydt.training.ending import MIN_STEPS, has_converged
from raydt.training.evaluate import Evaluation, Evaluator
from raydt.training.loop import Report, Splits, TrainConfig, train
from raydt.training.process import set_up_process

VAL_SIZES = (2_000, 4_000, 8_000, 16_000, 32_000)
VAL_BYTES, TEST_BYTES, EXCERPT_BYTES = 32_000, 64_000, 1_000
PROTOCOL, MODEL = Protocol(), MODELS["nano"]


class Keeping(Evaluator):
    """Keeps the losses of each evaluation on prefixes of `val`, and on `test`."""

    test: NDArray[np.uint8]
    kept: list[tuple[dict[int, float], float]]

    def evaluate(self, model: Decoder, data: NDArray[np.uint8]) -> Evaluation:
        losses = self.byte_losses(model, data)
        by_size = {size: float(losses[:size].mean()) for size in VAL_SIZES}
        Keeping.kept.append((by_size, float(self.byte_losses(model, Keeping.test).mean())))
        return Evaluation(float(losses.mean()), float("nan"))


@dataclass(frozen=True)
class Decided:
    """The decisions of a `val` of one size on one curve."""

    lost: float
    lost_by_choice: float
    bytes_seen: int
    log_test: float


@dataclass(frozen=True)
class Curve:
    """The evaluations of a cell."""

    bytes_seen: list[int]
    val: list[dict[int, float]]
    test: list[float]
    least_bytes: int

    def decide(self, val_bytes: int) -> Decided:
        losses = [each[val_bytes] for each in self.val]
        reports = [
            Report(seen, None, loss, None)
            for seen, loss in zip(self.bytes_seen, losses, strict=True)
        ]
        end = next(
            (
                number
                for number in range(1, len(reports))
                if has_converged(
                    reports[:number], self.least_bytes, PROTOCOL.tolerance, PROTOCOL.patience
                )
            ),
            len(reports),
        )
        logs = np.log(self.test)
        kept = logs[int(np.argmin(losses[:end]))]
        chosen = logs[int(np.argmin(losses))]
        return Decided(
            float(kept - logs.min()),
            float(chosen - logs.min()),
            self.bytes_seen[end - 1],
            float(kept),
        )


def read_splits(language: str, corpora: Path | None, size_bytes: int) -> list[NDArray[np.uint8]]:
    """Train, val and test: a controlled language, or `<language>.txt`, a document a line."""
    if corpora is None or not (corpora / f"{language}.txt").exists():
        return [
            generate(language, "train", size_bytes, 0),
            generate(language, "val", VAL_BYTES, 0),
            generate(language, "test", TEST_BYTES, 0),
        ]
    lines = [line for line in (corpora / f"{language}.txt").read_bytes().split(b"\n") if line]
    order = np.random.default_rng(0).permutation(len(lines))
    documents = [lines[i] for i in order]
    num_held_out, held_out = 0, b""
    while len(held_out) < VAL_BYTES + TEST_BYTES:
        held_out += documents[num_held_out][:EXCERPT_BYTES] + b"\0"
        num_held_out += 1
    data = np.frombuffer(held_out, np.uint8)
    learnt = np.frombuffer(b"\0".join(documents[num_held_out:]), np.uint8)
    return [learnt[:size_bytes], data[:VAL_BYTES], data[VAL_BYTES : VAL_BYTES + TEST_BYTES]]


def train_curve(data: list[NDArray[np.uint8]], seed: int) -> Curve:
    learnt, val, Keeping.test = data
    Keeping.kept = []
    config = TrainConfig.of(PROTOCOL, Stage.SCRATCH, MODEL, len(learnt), seed)
    reports: list[Report] = []
    with mock.patch.object(loop, "Evaluator", Keeping):
        train(replace(config, tolerance=0.0), Splits(learnt, val, None), report=reports.append)
    step_bytes = PROTOCOL.scratch.batch_windows(len(learnt), MODEL.window_bytes)
    least_bytes = max(len(learnt), MIN_STEPS * step_bytes * MODEL.window_bytes)
    vals, tests = zip(*Keeping.kept, strict=True)
    return Curve([report.bytes_seen for report in reports], list(vals), list(tests), least_bytes)


def show(language: str, size_bytes: int, curves: list[Curve]) -> Iterable[str]:
    """The rows of one language and size."""
    whole = [curve.decide(VAL_BYTES).log_test for curve in curves]
    seeds = float(np.std(whole, ddof=1)) if len(whole) > 1 else float("nan")
    for val_bytes in VAL_SIZES:
        decided = [curve.decide(val_bytes) for curve in curves]
        lost = [each.lost for each in decided]
        yield (
            f"| {language} | {size_bytes // 1000}k | {val_bytes // 1000}k | {np.mean(lost):.2%} | "
            f"{max(lost):.2%} | {np.mean([each.lost_by_choice for each in decided]):.2%} | "
            f"{seeds:.2%} | {np.median([each.bytes_seen for each in decided]) / 1000:,.0f}k |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpora", type=Path, help="a folder of <language>.txt")
    parser.add_argument("--languages", nargs="+", default=["alba"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[2_000, 8_000, 32_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    asked = parser.parse_args()
    set_up_process(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| language | size | val | lost | at most | choice alone | seeds | ended |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for language in asked.languages:
        for size_bytes in asked.sizes:
            data = read_splits(language, asked.corpora, size_bytes)
            curves = [train_curve(data, seed) for seed in asked.seeds]
            print("\n".join(show(language, size_bytes, curves)), flush=True)


if __name__ == "__main__":
    main()
