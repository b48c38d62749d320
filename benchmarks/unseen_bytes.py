r"""Treatments of bytes that a source never has, across scripts.

    OMP_NUM_THREADS=1 python benchmarks/unseen_bytes.py ../shared/corpora
    OMP_NUM_THREADS=1 python benchmarks/unseen_bytes.py ../shared/corpora --families default \
        --treatments train escape --sizes 8000 32000 --seeds 1 2

`nano` by the default protocol, its sources read three times, and `paper-nano` by
`sweeps/paper_nano.toml`. Treatments:

train     the softmax is over all 256 bytes: rows of unseen bytes are pushed away
reset     the same, but rows of bytes that the source never had are reinitialized before a finetune:
          a diagnostic, not a remedy
freeze    the softmax is over all bytes, rows of unseen bytes keep their initial values
escape    the softmax is over the seen bytes, all others share one fixed probability

Prints per family and size, in bits per byte on `test`, mean over seeds: scratch and finetune of
each pair, and the zeroshot. `unseen` is the share of the target's test bytes that the source never
has.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from raydt.config.by_size import FromSize
from raydt.config.model import MODELS, ModelConfig
from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.model.alphabet import Alphabet
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.tracking.schema import Stage
from raydt.training import loop
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import Outcome, Splits, TrainConfig, train
from raydt.training.optimizer.combined import Optimizer
from raydt.training.process import set_up_process

PAIRS = (("en", "ru"), ("en", "zh"), ("ru", "en"), ("zh", "ja"), ("en", "de"))
TREATMENTS = ("train", "reset", "freeze", "escape")
VAL_BYTES, TEST_BYTES = 8_000, 32_000
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Stages:
    """A family's model and how its stages are trained."""

    model: ModelConfig
    protocol: Protocol


def stages(family: str) -> Stages:
    if family == "default":
        default = Protocol()
        three = default.pretrain.model_copy(update={"epochs": (FromSize(0, 3),)})
        return Stages(MODELS["nano"], default.model_copy(update={"pretrain": three}))
    declared = tomllib.loads((ROOT / "sweeps" / "paper_nano.toml").read_text())
    return Stages(MODELS["paper-nano"], Protocol.model_validate(declared["protocol"]))


class FreezingOptimizer(Optimizer):
    """Restores the rows of unseen bytes after each step, without their gradients."""

    unseen_U = torch.arange(0)  # of the cell that is trained

    def __init__(self, model: Decoder, recipe: Recipe, num_steps: int) -> None:
        super().__init__(model, recipe, num_steps)
        self._rows = model.byte_rows()

    def step(self, step: int) -> None:
        kept = [rows[self.unseen_U].detach() for rows in self._rows]
        for rows in self._rows:
            assert rows.grad is not None
            rows.grad[self.unseen_U] = 0
        super().step(step)
        for rows, values in zip(self._rows, kept, strict=True):
            rows.detach().index_copy_(0, self.unseen_U, values)


def read_splits(path: Path) -> Splits:
    """A file of a document a line, in an order of its own; its last lines are held out."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    order = np.random.default_rng(0).permutation(len(lines))
    data = np.frombuffer(b"\0".join(lines[i] for i in order) + b"\0", np.uint8)
    held_out = VAL_BYTES + TEST_BYTES
    return Splits(data[:-held_out], data[-held_out:-TEST_BYTES], data[-TEST_BYTES:])


class Cells:
    """The cells of one family, treatment and seed."""

    def __init__(self, stages: Stages, treatment: str, seed: int) -> None:
        self.stages, self.treatment, self.seed = stages, treatment, seed

    def train(
        self,
        stage: Stage,
        splits: Splits,
        size_bytes: int,
        start: Path | None = None,
        parent: Alphabet | None = None,
    ) -> Outcome:
        """The outcome of a cell, whose parent saw `parent`."""
        data: NDArray[np.uint8] = splits.train[:size_bytes]
        config = TrainConfig.of(
            self.stages.protocol, stage, self.stages.model, size_bytes, self.seed
        )
        if config.recipe is not None and self.treatment == "escape":
            escaping = config.recipe.model_copy(update={"unseen_bytes": "escape"})
            config = replace(config, recipe=escaping)
        cell = Splits(data, splits.val, splits.test)
        if self.treatment != "freeze":
            return train(config, cell, initial_weights=start)
        seen = Alphabet.of_data(data, parent, escapes=False).seen
        FreezingOptimizer.unseen_U = torch.tensor(sorted(set(range(256)) - seen))
        with mock.patch.object(loop, "Optimizer", FreezingOptimizer):
            return train(config, cell, initial_weights=start)

    def pretrain(self, splits: Splits, size_bytes: int, folder: Path, source: str) -> Path:
        """The weights of a source, made once for `train` and `reset`."""
        trained_as = "train" if self.treatment == "reset" else self.treatment
        path = folder / f"{source}-{trained_as}-{self.seed}.safetensors"
        if not path.exists():
            outcome = self.train(Stage.PRETRAIN, splits, size_bytes)
            save_weights(outcome.weights, path, outcome.alphabet)
        if self.treatment != "reset":
            return path
        alphabet = Alphabet.of_data(splits.train[:size_bytes], escapes=False)
        unseen = sorted(set(range(256)) - alphabet.seen)
        torch.manual_seed(self.seed)
        weights, fresh = load_file(path), new_decoder(self.stages.model).state_dict()
        for name in {"embedding.weight", "head.weight"} & weights.keys():
            weights[name][unseen] = fresh[name][unseen]
        reset = folder / f"{source}-reset-{self.seed}.safetensors"
        save_weights(weights, reset, alphabet)
        return reset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path, help="a folder of <language>.txt")
    parser.add_argument("--families", nargs="+", default=["default", "paper"])
    parser.add_argument("--treatments", nargs="+", choices=TREATMENTS, default=TREATMENTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[8_000])
    parser.add_argument("--pretrain-size", type=int, default=400_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    set_up_process(1)
    languages = sorted({language for pair in PAIRS for language in pair})
    texts = {name: read_splits(arguments.corpora / f"{name}.txt") for name in languages}
    console = Console(width=150)
    for family in arguments.families:
        bits: dict[tuple[str, ...], list[float]] = defaultdict(list)
        shares: dict[tuple[str, str], float] = {}

        def keep(
            outcome: Outcome, *key: str, bits: dict[tuple[str, ...], list[float]] = bits
        ) -> None:
            assert outcome.test_loss is not None
            bits[key].append(outcome.test_loss / math.log(2))

        how = stages(family)
        with tempfile.TemporaryDirectory() as temporary:
            for seed in arguments.seeds:
                for treatment in arguments.treatments:
                    cells = Cells(how, treatment, seed)
                    # A scratch cell has nothing to reset.
                    for target in sorted(
                        {target for _, target in PAIRS} if treatment != "reset" else ()
                    ):
                        for size in arguments.sizes:
                            keep(
                                cells.train(Stage.SCRATCH, texts[target], size),
                                "scratch",
                                target,
                                treatment,
                                str(size),
                            )
                    for source, target in PAIRS:
                        start = cells.pretrain(
                            texts[source], arguments.pretrain_size, Path(temporary), source
                        )
                        parent = Alphabet.of_data(
                            texts[source].train[: arguments.pretrain_size], escapes=False
                        )
                        zeroshot = train(
                            TrainConfig(how.model, None, 0), texts[target], initial_weights=start
                        )
                        assert zeroshot.unseen_share is not None
                        shares[source, target] = zeroshot.unseen_share
                        keep(zeroshot, "zeroshot", source, target, treatment)
                        for size in arguments.sizes:
                            keep(
                                cells.train(Stage.FINETUNE, texts[target], size, start, parent),
                                "finetune",
                                source,
                                target,
                                treatment,
                                str(size),
                            )
        print_tables(console, family, arguments, bits, shares)


def print_tables(
    console: Console,
    family: str,
    arguments: argparse.Namespace,
    bits: dict[tuple[str, ...], list[float]],
    shares: dict[tuple[str, str], float],
) -> None:
    def mean(*key: str) -> str:
        return f"{fmean(bits[key]):.3f}" if key in bits else ""

    for size in map(str, arguments.sizes):
        table = Table(
            title=f"{family}, {size} bytes, seeds {arguments.seeds}: scratch / finetune (zero-shot)"
        )
        for column in ("pair", "unseen", *arguments.treatments):
            table.add_column(column, justify="left" if column == "pair" else "right")
        for source, target in PAIRS:
            shown = [
                f"{mean('scratch', target, treatment, size)} / "
                f"{mean('finetune', source, target, treatment, size)} "
                f"({fmean(bits['zeroshot', source, target, treatment]):.1f})"
                for treatment in arguments.treatments
            ]
            table.add_row(f"{source}→{target}", f"{shares[source, target]:.1%}", *shown)
        console.print(table)


if __name__ == "__main__":
    main()
