"""Bytes per second of training on one core, beside a plain loop of the same shape.

    OMP_NUM_THREADS=1 python benchmarks/training.py

The peer is what one writes first: torch's own `TransformerEncoderLayer` with a causal mask, AdamW,
the same width, layers, hidden layer, window and batch. Rounds alternate, and the median of the
ratios is printed, because the machine is shared. The rate of `nano` is what `raydt plan` assumes
before a sweep has cells of its own (`ASSUMED_CORE_FLOPS_PER_SECOND`).
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import torch
from torch import nn

from raydt.config.model import MODELS, VOCABULARY, ModelConfig
from raydt.config.protocol import Recipe
from raydt.corpora.batches import WindowBatches
from raydt.corpora.controlled.catalog import generate
from raydt.model.decoder import Decoder
from raydt.training.loop import train_step
from raydt.training.optimizer import Optimizer

ROUNDS, STEPS, BATCH_WINDOWS = 7, 20, 8


class Plain(nn.Module):
    """Torch's encoder layers with a causal mask and learned positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, config.width)
        self.positions = nn.Parameter(torch.zeros(config.window_bytes, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.num_heads, config.hidden, dropout=0.0, batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, config.num_layers, enable_nested_tensor=False)
        self.head = nn.Linear(config.width, VOCABULARY)
        self.mask = nn.Transformer.generate_square_subsequent_mask(config.window_bytes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layers(self.embedding(x) + self.positions, mask=self.mask, is_causal=True)
        return self.head(hidden)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'model':<8}{'raydt kB/s':>12}{'plain kB/s':>12}{'ratio':>8}{'raydt GFLOP/s':>15}")
    for name in ("nano", "micro"):
        config = MODELS[name]
        data = generate("related", "train", 500_000, 0)
        batches = WindowBatches(data, config.window_bytes, BATCH_WINDOWS, seed=0)
        ours = Decoder(config)
        optimizer = Optimizer(ours, Recipe(), 1000)
        plain = Plain(config)
        adam = torch.optim.AdamW(plain.parameters(), lr=1e-3)

        def our_step() -> None:
            train_step(ours, batches.next_batch())  # noqa: B023
            optimizer.step(50)  # noqa: B023

        def plain_step() -> None:
            window = torch.from_numpy(batches.next_batch().windows.astype(np.int64))  # noqa: B023
            logits = plain(window[:, :-1])  # noqa: B023
            nn.functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten()).backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)  # noqa: B023
            adam.step()  # noqa: B023
            adam.zero_grad()  # noqa: B023

        rates: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(ROUNDS):
            for who, step in (("ours", our_step), ("plain", plain_step)):
                step()
                start = time.perf_counter()
                for _ in range(STEPS):
                    step()
                seconds = time.perf_counter() - start
                rates[who].append(STEPS * BATCH_WINDOWS * config.window_bytes / seconds)
        ratio = median(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True))
        speed = median(rates["ours"])
        print(
            f"{name:<8}{speed / 1e3:>12.1f}{median(rates['plain']) / 1e3:>12.1f}{ratio:>8.2f}"
            f"{speed * config.training_flops_per_byte / 1e9:>15.1f}"
        )


if __name__ == "__main__":
    main()
