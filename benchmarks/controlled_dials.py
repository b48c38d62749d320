r"""Do the dials do what they say? Transfer from w<share>-s<share> to `related`.

    python benchmarks/controlled_dials.py
    python benchmarks/controlled_dials.py --seeds 0 --finetune-sizes 0 8000 32000

For each seed: a scratch ladder of `related`, and for each setting of the two dials a pretraining,
a zeroshot evaluation and finetunes at each size. Each seed has its own corpus (another world, other
words, another selection of what is kept) as well as another initialization of the model. D_E by the
`loglog` estimator: the size at which the ladder, interpolated in log loss over log bytes, has the
finetune's loss.

The demo's model and protocol: a source is read once, ladder and finetunes train until they
converge.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from raydt.config.model import MODELS
from raydt.config.protocol import DEMO_PROTOCOL
from raydt.corpora.controlled.catalog import generate
from raydt.tracking.schema import Stage
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import Outcome, Splits, TrainConfig, train
from raydt.training.process import set_up_process

TARGET = "related"
# (world, surface): each dial at three settings while the other is at 1, and neither.
SETTINGS = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0))
Found = dict[tuple[float, float, int], tuple[float, float]]


def train_cell(
    stage: Stage, language: str, num_bytes: int, seed: int, start: Path | None = None
) -> Outcome:
    splits = Splits(
        generate(language, "train", num_bytes, seed),
        generate(language, "val", DEMO_PROTOCOL.most_val_bytes, seed),
        generate(language, "test", DEMO_PROTOCOL.most_test_bytes, seed),
    )
    config = TrainConfig.of(DEMO_PROTOCOL, stage, MODELS["nano"], num_bytes, seed)
    return train(config, splits, initial_weights=start, device=torch.device("cpu"))


def loss(outcome: Outcome) -> float:
    if outcome.test_loss is None:
        raise RuntimeError(outcome.reason)
    return outcome.test_loss


def effective_bytes(finetune_loss: float, ladder: dict[int, float]) -> float:
    """D_E; -inf or inf outside the ladder."""
    losses = np.minimum.accumulate(np.array(list(ladder.values())))
    if finetune_loss > losses[0]:
        return float("-inf")
    if finetune_loss < losses[-1]:
        return float("inf")
    log_bytes = np.log(list(ladder))
    inverse = np.interp(np.log(finetune_loss), np.log(losses[::-1]), log_bytes[::-1])
    return float(np.exp(inverse))


def run_seed(seed: int, asked: argparse.Namespace) -> Found:
    """(world, surface, size) -> (loss, D_E)."""
    ladder = {
        size: loss(train_cell(Stage.SCRATCH, TARGET, size, seed)) for size in sorted(asked.ladder)
    }
    print(
        f"seed {seed}, scratch: " + "  ".join(f"{n // 1000}k {x:.3f}" for n, x in ladder.items()),
        flush=True,
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for world, surface in SETTINGS:
            source = f"w{world:g}-s{surface:g}"
            weights = Path(folder) / f"{source}.safetensors"
            pretrained = train_cell(Stage.PRETRAIN, source, asked.pretrain_size, seed)
            save_weights(pretrained.weights, weights, pretrained.alphabet)
            for size in asked.finetune_sizes:
                stage = Stage.FINETUNE if size else Stage.ZEROSHOT
                tuned = loss(train_cell(stage, TARGET, size, seed, weights))
                effective = effective_bytes(tuned, ladder)
                found[world, surface, size] = tuned, effective
                print(
                    f"{source:>10} {size // 1000:3}k  loss {tuned:.4f}  D_E {effective:9.0f}",
                    flush=True,
                )
    return found


def print_table(runs: list[Found], finetune_sizes: list[int]) -> None:
    """Mean D_T in kB, and in brackets that of each seed; no mean if one is off the ladder."""
    sizes = [f"D_T, D_F = {size // 1000}k" for size in finetune_sizes]
    print("\n| source | " + " | ".join(sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    outside = {float("-inf"): "below", float("inf"): "above"}
    for world, surface in SETTINGS:
        cells = []
        for size in finetune_sizes:
            kilobytes = [(run[world, surface, size][1] - size) / 1000 for run in runs]
            each = ", ".join(outside.get(number, f"{number:.0f}") for number in kilobytes)
            mean = np.mean(kilobytes)
            cells.append(f"{mean:.0f} ({each})" if np.isfinite(mean) else f"({each})")
        print(f"| w{world:g}-s{surface:g} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--finetune-sizes",
        nargs="+",
        type=int,
        default=[0, 2_000, 8_000, 32_000],
        help="0 is zeroshot",
    )
    parser.add_argument(
        "--ladder", nargs="+", type=int, default=[2_000, 8_000, 32_000, 128_000, 512_000]
    )
    parser.add_argument("--pretrain-size", type=int, default=400_000)
    asked = parser.parse_args()
    set_up_process(1)
    start = time.perf_counter()
    print_table([run_seed(seed, asked) for seed in asked.seeds], asked.finetune_sizes)
    print(f"\n{time.perf_counter() - start:.0f} s on one core")


if __name__ == "__main__":
    main()
