"""Do the dials do what they say? Transfer from w<share>-s<share> to `related`.

    python benchmarks/controlled_dials.py [SEED ...]

For each seed: a scratch ladder of `related`, and for each setting of the two dials a pretraining,
a zeroshot evaluation and finetunes at three sizes. Each seed is a corpus of its own (another world,
other words, another choice of what is kept) as well as another start of the model. D_E by the
`loglog` estimator: the size at which the ladder, interpolated in log loss over log bytes, has the
finetune's loss.

The demo's model, and its protocol with two changes. Finetunes have a quarter of its learning rate:
at the full one a finetune soon forgets (pretrained on 1 MB of the very same language, D_E at 8k was
86 kB). The budget of the ladder grows faster with size, so that its large rungs are limited by
their data, as the pretraining is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol, Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.checkpoint import save_weights
from raydt.training.loop import Outcome, Splits, TrainConfig, train
from raydt.units import Size

TARGET = "related"
# (world, surface): each dial at three settings while the other is at 1, and neither.
SETTINGS = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0))
FINETUNE_SIZES = (0, 2_000, 8_000, 32_000)  # 0 is zeroshot
LADDER = (2_000, 8_000, 32_000, 128_000, 512_000)
PRETRAIN_BYTES = 400_000
DEMO = Protocol()
SCRATCH = DEMO.scratch.model_copy(update={"budget_exponent": 0.5})
PRETRAIN = SCRATCH.model_copy(
    update={"budget_bytes": Size(640_000, "640k"), "budget_at_bytes": Size(400_000, "400k")}
)
FINETUNE = DEMO.finetune.model_copy(
    update={
        "learning_rate": DEMO.finetune.learning_rate / 4,
        "embedding_learning_rate": DEMO.finetune.embedding_learning_rate / 4,
    }
)


def train_cell(
    recipe: Recipe | None, language: str, num_bytes: int, seed: int, start: Path | None = None
) -> Outcome:
    splits = Splits(
        generate(language, "train", num_bytes, seed),
        generate(language, "val", DEMO.most_val_bytes, seed),
        generate(language, "test", DEMO.most_test_bytes, seed),
    )
    config = TrainConfig(MODELS["nano"], recipe, num_bytes, seed, DEMO.evaluations, DEMO.patience)
    return train(config, splits, initial_weights=start, device=torch.device("cpu"))


def loss(outcome: Outcome) -> float:
    if outcome.test_loss is None:
        raise RuntimeError(outcome.reason)
    return outcome.test_loss


def effective_bytes(finetune_loss: float, ladder: dict[int, float]) -> float:
    """D_E; outside the ladder, where it would be made up, -inf or inf."""
    losses = np.minimum.accumulate(np.array(list(ladder.values())))
    if finetune_loss > losses[0]:
        return float("-inf")
    if finetune_loss < losses[-1]:
        return float("inf")
    log_bytes = np.log(list(ladder))
    inverse = np.interp(np.log(finetune_loss), np.log(losses[::-1]), log_bytes[::-1])
    return float(np.exp(inverse))


def run_seed(seed: int) -> dict[tuple[float, float, int], tuple[float, float]]:
    """(world, surface, size) -> (loss, D_E)."""
    ladder = {size: loss(train_cell(SCRATCH, TARGET, size, seed)) for size in LADDER}
    print(f"seed {seed}, scratch: " + "  ".join(f"{n // 1000}k {x:.3f}" for n, x in ladder.items()))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for world, surface in SETTINGS:
            source = f"w{world:g}-s{surface:g}"
            weights = Path(folder) / f"{source}.safetensors"
            pretrained = train_cell(PRETRAIN, source, PRETRAIN_BYTES, seed)
            save_weights(pretrained.weights, weights)
            for size in FINETUNE_SIZES:
                tuned = loss(train_cell(FINETUNE if size else None, TARGET, size, seed, weights))
                effective = effective_bytes(tuned, ladder)
                found[world, surface, size] = tuned, effective
                print(
                    f"{source:>10} {size // 1000:3}k  loss {tuned:.4f}  D_E {effective:9.0f}",
                    flush=True,
                )
    return found


def print_table(runs: list[dict[tuple[float, float, int], tuple[float, float]]]) -> None:
    """Mean D_T in kB, and in brackets that of each seed; no mean where the ladder is left."""
    sizes = [f"D_T, D_F = {size // 1000}k" for size in FINETUNE_SIZES]
    print("\n| source | " + " | ".join(sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    outside = {float("-inf"): "below", float("inf"): "above"}
    for world, surface in SETTINGS:
        cells = []
        for size in FINETUNE_SIZES:
            kilobytes = [(run[world, surface, size][1] - size) / 1000 for run in runs]
            each = ", ".join(outside.get(number, f"{number:.0f}") for number in kilobytes)
            mean = np.mean(kilobytes)
            cells.append(f"{mean:.0f} ({each})" if np.isfinite(mean) else f"({each})")
        print(f"| w{world:g}-s{surface:g} | " + " | ".join(cells) + " |")


def main() -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    print_table([run_seed(seed) for seed in map(int, sys.argv[1:] or ("0", "1", "2"))])
    print(f"\n{time.perf_counter() - start:.0f} s on one core")


if __name__ == "__main__":
    main()
