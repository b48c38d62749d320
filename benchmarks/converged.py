"""The default protocol against brute force, on scratch ladders of real languages.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/converged.py ../shared/corpora fi en zh

For each language and size: the default's test loss over three seeds, compared with the best of 24
recipes that a person might try by hand (three learning rates, four lengths, cosine and constant;
the checkpoint with the best `val` of each), and with a cosine over as many bytes as the default
saw. The best of 24 is the best on *test*, which nobody could choose: an optimistic bound. The noise
of seeds is pooled over everything. `--json FILE` also writes the numbers; `--table` reads several
such files.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.tracking.schema import Stage
from raydt.training.loop import Outcome, Splits, TrainConfig, train
from raydt.training.process import set_up_process

SIZES = (2_000, 8_000, 32_000, 128_000)
SEEDS = (0, 1, 2)
RATES, LENGTHS = (0.5, 1.0, 2.0), (5, 10, 20, 40)  # times the rate that was the default; epochs
VAL_BYTES, TEST_BYTES, EXCERPT_BYTES = 32_000, 100_000, 1_500


def read_splits(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Train, val and test from a file with one document per line; val and test are excerpts of
    many."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    order = np.random.default_rng(0).permutation(len(lines))
    documents = [lines[i] for i in order]
    held_out = (VAL_BYTES + TEST_BYTES) // EXCERPT_BYTES + 20
    excerpts = b"\0".join(document[:EXCERPT_BYTES] for document in documents[:held_out])
    data = np.frombuffer(excerpts, np.uint8)
    train_data = np.frombuffer(b"\0".join(documents[held_out:]), np.uint8)
    return train_data, data[:VAL_BYTES], data[VAL_BYTES:][:TEST_BYTES]


def by_hand(rate: float, epochs: float, schedule: str, batch_windows: int) -> Recipe:
    """Recipes that a person might try."""
    return Recipe(
        learning_rate=0.02 * rate,
        embedding_learning_rate=0.04 * rate,
        schedule=schedule,
        epochs=epochs,
        max_batch_windows=batch_windows,
        min_steps=50,
    )


def best_checkpoint(model: str, recipe: Recipe, splits: Splits, window_bytes: int) -> Outcome:
    size_bytes = len(splits.train)
    config = TrainConfig(
        MODELS[model], recipe, size_bytes, 0, 1.2, 1, 0.0, 1_000, window_bytes // 2
    )
    return train(config, splits)


def measure(model: str, language: str, path: Path) -> Iterable[dict[str, Any]]:
    """One row per run."""
    data, val, test = read_splits(path)
    window_bytes = MODELS[model].window_bytes
    protocol = Protocol()
    for size_bytes in SIZES:
        splits = Splits(data[:size_bytes], val, test)
        kind = {"language": language, "size": size_bytes, "model": model}
        seen = []
        for seed in SEEDS:
            config = TrainConfig.of(protocol, Stage.SCRATCH, MODELS[model], size_bytes, seed)
            outcome = train(config, splits)
            seen.append(outcome.bytes_seen)
            yield kind | row("default", outcome) | {"seed": seed, "unfinished": outcome.unfinished}
        equal = by_hand(1.0, float(np.median(seen)) / size_bytes, "cosine", 8)
        yield kind | row("cosine, equal bytes", best_checkpoint(model, equal, splits, window_bytes))
        for rate in RATES:
            # The best checkpoint with a constant rate over the longest length is the best over any
            # length.
            recipes = [by_hand(rate, epochs, "cosine", 8) for epochs in LENGTHS]
            recipes.append(by_hand(rate, max(LENGTHS), "constant", 8))
            for recipe in recipes:
                name = f"{recipe.schedule}, {recipe.epochs[0].value:g} epochs, rate x {rate:g}"
                outcome = best_checkpoint(model, recipe, splits, window_bytes)
                yield kind | row(name, outcome) | {"brute": True}


def row(name: str, outcome: Outcome) -> dict[str, Any]:
    assert outcome.test_loss is not None
    return {
        "name": name,
        "loss": outcome.test_loss,
        "bytes": outcome.bytes_seen,
        "seconds": outcome.training_seconds,
    }


def show(rows: list[dict[str, Any]]) -> None:
    """The table, in nats per byte, and the pooled noise of seeds."""
    print(
        "| language | size | default (sd of log loss) | bytes seen | unfinished | best of 24 | "
        "default / best | cosine of equal bytes |"
    )
    print("|---|---|---|---|---|---|---|---|")
    squares, freedom, worst = 0.0, 0, -math.inf
    kinds = dict.fromkeys((row["model"], row["language"], row["size"]) for row in rows)
    for model, language, size in kinds:
        mine = [
            r for r in rows if (r["model"], r["language"], r["size"]) == (model, language, size)
        ]
        own = [r for r in mine if r["name"] == "default"]
        brute = min((r for r in mine if r.get("brute")), key=lambda r: r["loss"])
        equal = next(r for r in mine if r["name"] == "cosine, equal bytes")
        logs = np.log([r["loss"] for r in own])
        if size >= 8_000:
            squares += float(((logs - logs.mean()) ** 2).sum())
            freedom += len(logs) - 1
        mean = math.exp(logs.mean())
        ratio = mean / brute["loss"] - 1
        worst = max(worst, ratio)
        seen = np.median([r["bytes"] for r in own])
        left = np.mean([r["unfinished"] for r in own])
        print(
            f"| {language} | {size // 1000}k | {mean:.3f} ({logs.std(ddof=1):.2%}) | "
            f"{seen / 1000:,.0f}k | {left:.2%} | {brute['loss']:.3f} ({brute['name']}) | "
            f"{ratio:+.1%} | {equal['loss']:.3f} |"
        )
    print(
        f"\nPooled sd of log loss over seeds, from 8k on: {math.sqrt(squares / freedom):.2%} "
        f"({freedom} degrees of freedom). The default is at worst {worst:+.1%} from the best of "
        "24."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path, nargs="?")
    parser.add_argument("languages", nargs="*")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, nargs="+", help="only show what these files have")
    asked = parser.parse_args()
    if asked.table:
        show([json.loads(line) for path in asked.table for line in path.read_text().splitlines()])
        return
    set_up_process(1)
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; model {asked.model}")
    rows = []
    for language in asked.languages:
        for each in measure(asked.model, language, asked.corpora / f"{language}.txt"):
            rows.append(each)
            if asked.json:
                with asked.json.open("a") as file:
                    file.write(json.dumps(each) + "\n")
    show(rows)


if __name__ == "__main__":
    main()
