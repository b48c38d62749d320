"""Do scratch ladders of two real languages fall with size under the default protocol?

    OMP_NUM_THREADS=1 python benchmarks/real_ladders.py ../shared/corpora/{en,fi}.txt

Each file is one language, one document per line; its last lines are `val` and `test`. Prints the
test loss of each rung with its standard error, and exits with 1 if a ladder does not fall.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.tracking.schema import Stage
from raydt.training.loop import Splits, TrainConfig, train

SIZES = (2_000, 8_000, 32_000, 128_000)


def read_splits(path: Path, protocol: Protocol) -> tuple[NDArray[np.uint8], ...]:
    """Train, val and test of a file, whose lines are shuffled."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    order = np.random.default_rng(0).permutation(len(lines))
    shuffled = b"\0".join(lines[i] for i in order) + b"\0"
    data = np.frombuffer(shuffled, np.uint8)
    test, val = protocol.most_test_bytes, protocol.most_val_bytes
    return data[: -test - val], data[-test - val : -test], data[-test:]


def main() -> None:
    torch.set_num_threads(1)
    protocol, model = Protocol(), MODELS["nano"]
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; model nano, seed 0")
    print("language   size     test loss (standard error)   bits per byte")
    falls = True
    for argument in sys.argv[1:]:
        path = Path(argument)
        data, val, test = read_splits(path, protocol)
        losses = []
        for size_bytes in SIZES:
            config = TrainConfig.of(protocol, Stage.SCRATCH, model, size_bytes)
            outcome = train(config, Splits(data[:size_bytes], val, test))
            assert outcome.test_loss is not None
            losses.append(outcome.test_loss)
            print(
                f"{path.stem:<10} {size_bytes:>7,}  {outcome.test_loss:.4f} "
                f"({outcome.test_loss_stderr:.4f})             {outcome.test_loss / np.log(2):.3f}",
                flush=True,
            )
        falls &= all(a > b for a, b in pairwise(losses))
    sys.exit(0 if falls else 1)


if __name__ == "__main__":
    main()
