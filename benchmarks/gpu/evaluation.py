"""The part of a cell's time that is not training, and the time of a cell of the default
protocol."""

from __future__ import annotations

import time

import torch

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.corpora.controlled.catalog import generate
from raydt.tracking.schema import Stage
from raydt.training.loop import Splits, TrainConfig, train

HELD_OUT_BYTES = 32_000


def cell_time(name: str, size_bytes: int, device: torch.device) -> dict[str, object]:
    """A scratch cell of the default protocol, from its first step to its test."""
    config = TrainConfig.of(Protocol(), Stage.SCRATCH, MODELS[name], size_bytes)
    splits = Splits(
        generate("alba", "train", size_bytes, 0),
        generate("alba", "val", HELD_OUT_BYTES, 0),
        generate("alba", "test", HELD_OUT_BYTES, 0),
    )
    start = time.perf_counter()
    outcome = train(config, splits, device=device)
    seconds = time.perf_counter() - start
    return {
        "model": name,
        "size_bytes": size_bytes,
        "bytes_seen": outcome.bytes_seen,
        "seconds": seconds,
        "training_seconds": outcome.training_seconds,
        "not_training": 1 - outcome.training_seconds / seconds,
        "test_loss": outcome.test_loss,
    }
