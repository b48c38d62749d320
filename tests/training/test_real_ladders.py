"""Scratch ladders of real languages fall with size at the default protocol.

benchmarks/real_ladders.py has them at the sizes of the demo and with standard errors.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.tracking.schema import Stage, Status
from raydt.training.loop import Splits, TrainConfig, train

SIZES = (2_000, 4_000, 8_000, 16_000)


@pytest.mark.parametrize("language", ["en", "fi"])
def test_every_rung_is_below_the_one_before(shared: Path, language: str) -> None:
    path = shared / "corpora" / f"{language}.txt"
    if not path.is_file():
        pytest.skip(f"no real text: {path} is absent")
    torch.set_num_threads(1)
    protocol = Protocol()
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    order = np.random.default_rng(0).permutation(len(lines))
    data = np.frombuffer(b"\0".join(lines[i] for i in order) + b"\0", np.uint8)
    test_bytes, val_bytes = protocol.most_test_bytes, protocol.most_val_bytes
    val, test = data[-test_bytes - val_bytes : -test_bytes], data[-test_bytes:]
    losses = []
    for size_bytes in SIZES:
        config = TrainConfig.of(protocol, Stage.SCRATCH, MODELS["nano"], size_bytes)
        outcome = train(config, Splits(data[:size_bytes], val, test))
        assert outcome.status is Status.DONE
        assert outcome.test_loss is not None
        losses.append(outcome.test_loss)
    assert all(smaller > larger for smaller, larger in pairwise(losses)), losses
