r"""What each choice of the default family is worth, on real text.

    OMP_NUM_THREADS=1 python benchmarks/model_choices.py ../shared/corpora nano
    OMP_NUM_THREADS=1 python benchmarks/model_choices.py ../shared/corpora micro \
        --variants 'no convolution' QK-norm 'value residual' 'logit soft-cap'

Every variant differs from the default in one respect and is trained from scratch on the same
batches for the same number of steps, over languages and seeds. Prints per model: bits per byte on
held-out text and the paired difference from the default (negative: the variant is better), with its
standard error over languages and seeds, and CPU seconds per step relative to the default. Variants
of blocks start from other random weights than the default, so a difference of a few thousandths is
noise: with one layer, "value residual" is the default itself. A variant is worth having only if it
gains more than its time costs.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.model.decoder import Decoder
from raydt.model.default import Block, BlockInputs, DefaultDecoder
from raydt.model.families import new_decoder
from raydt.training.evaluate import evaluate
from raydt.training.loop import train_step
from raydt.training.optimizer.combined import Optimizer

LANGUAGES = ("en", "fi", "zh")
TRAIN_BYTES, HELD_OUT_BYTES, BATCH_WINDOWS = 1_000_000, 32_768, 8
STEPS = {"nano": 600, "micro": 150}
SEEDS = {"nano": (0, 1), "micro": (0,)}
SOFT_CAP = 15.0


class QueryKeyNorm(Block):
    """Queries and keys of norm 1 (Henry et al. 2020, arXiv 2010.04245), a learned temperature."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.temperature = nn.Parameter(torch.full((config.num_heads, 1, 1), 0.5))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, inputs: BlockInputs) -> Tensor:
        K = q.shape[-1]
        q = F.rms_norm(q, (K,)) * self.temperature
        return super()._attend(q, F.rms_norm(k, (K,)), v, inputs)


class ValueResidual(Block):
    """Values mixed with those of the first layer (Zhou et al. 2024, arXiv 2410.17897)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.share = nn.Parameter(torch.tensor(0.5))
        self.first: list[Tensor] = []  # shared by all blocks of a model; see `build`
        self.is_first = False

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, inputs: BlockInputs) -> Tensor:
        if self.is_first:
            self.first[:] = [v]
        mixed = v + self.share * (self.first[0] - v)
        return super()._attend(q, k, mixed, inputs)


class Gelu(Block):
    def _activate(self, hidden: Tensor) -> Tensor:
        return F.gelu(hidden)


class RootMeanSquare(Block):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.attention_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=1e-6)


class SoftCap(DefaultDecoder):
    """Logits kept within 15 (Gemma 2, arXiv 2408.00118)."""

    def forward(self, x_BT: Tensor) -> Tensor:
        return SOFT_CAP * torch.tanh(super().forward(x_BT) / SOFT_CAP)


def with_blocks(block: type[Block]) -> Callable[[ModelConfig], Decoder]:
    def build(config: ModelConfig) -> Decoder:
        model = new_decoder(config)
        model.blocks = nn.ModuleList(block(config) for _ in range(config.num_layers))
        first: list[Tensor] = []
        for number, own in enumerate(model.blocks):
            if isinstance(own, ValueResidual):
                own.first, own.is_first = first, number == 0
        return model

    return build


def without_convolution(config: ModelConfig) -> Decoder:
    return new_decoder(config.model_copy(update={"conv_bytes": 1}))


class AdamwOnly(DefaultDecoder):
    def matrices(self) -> list[Tensor]:
        return []


# Both use a cosine over the fixed number of steps, whatever the default protocol does.
MUON = Recipe(schedule="cosine")
# AdamW for everything, at one rate, as in a plain loop.
ADAMW = {rate: Recipe(schedule="cosine", learning_rate=rate) for rate in (4e-3, 8e-3, 16e-3)}
VARIANTS: dict[str, tuple[Callable[[ModelConfig], Decoder], Recipe]] = {
    "default": (new_decoder, MUON),
    "no convolution": (without_convolution, MUON),
    "QK-norm": (with_blocks(QueryKeyNorm), MUON),
    "value residual": (with_blocks(ValueResidual), MUON),
    "logit soft-cap": (SoftCap, MUON),
    "GELU": (with_blocks(Gelu), MUON),
    "RMSNorm": (with_blocks(RootMeanSquare), MUON),
    **{f"AdamW {rate:g}": (AdamwOnly, recipe) for rate, recipe in ADAMW.items()},
}


def run(
    build: Callable[[ModelConfig], Decoder],
    recipe: Recipe,
    name: str,
    data: NDArray[np.uint8],
    seed: int,
) -> tuple[float, float]:
    """Bits per byte on held-out text, and the median CPU seconds of a step."""
    config = MODELS[name]
    torch.manual_seed(seed)
    model = build(config)
    train, held_out = data[:TRAIN_BYTES], data[TRAIN_BYTES : TRAIN_BYTES + HELD_OUT_BYTES]
    batches = WindowBatches(train, config.window_bytes, BATCH_WINDOWS, seed=seed)
    optimizer = Optimizer(model, recipe, STEPS[name])
    seconds = []
    for step in range(STEPS[name]):
        start = time.process_time()
        train_step(model, batches.next_batch())
        optimizer.step(step)
        seconds.append(time.process_time() - start)
    return evaluate(model, held_out).loss / math.log(2), median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path, help="a folder of <language>.txt")
    parser.add_argument("models", nargs="+", choices=STEPS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    texts = {}
    for language in LANGUAGES:
        lines = (arguments.corpora / f"{language}.txt").read_bytes()
        texts[language] = np.frombuffer(lines, np.uint8)
    console = Console()
    for name in arguments.models:
        table = Table(
            title=f"{name}: {STEPS[name]} steps, {', '.join(LANGUAGES)}, {len(SEEDS[name])} seeds"
        )
        for column in ("variant", "bpb", "difference", "std. error", "time of a step"):
            table.add_column(column, justify="left" if column == "variant" else "right")
        base: list[float] = []
        base_seconds = math.nan
        for variant in dict.fromkeys(["default", *arguments.variants]):
            build, recipe = VARIANTS[variant]
            results = [
                run(build, recipe, name, texts[language], seed)
                for language in LANGUAGES
                for seed in SEEDS[name]
            ]
            bpb = [result[0] for result in results]
            seconds = median(result[1] for result in results)
            if not base:
                base, base_seconds = bpb, seconds
            differences = [a - b for a, b in zip(bpb, base, strict=True)]
            error = stdev(differences) / math.sqrt(len(differences))
            table.add_row(
                variant,
                f"{fmean(bpb):.4f}",
                f"{fmean(differences):+.4f}",
                f"{error:.4f}",
                f"{seconds / base_seconds:.2f}x",
            )
            console.log(name, variant, [f"{value:.4f}" for value in bpb])
        console.print(table)


if __name__ == "__main__":
    main()
