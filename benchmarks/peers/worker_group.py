"""Cells by `ray.train.torch.TorchTrainer`, one worker group of one worker per cell, as in its
documentation. Without Tune, which would add the cost of a trial's actor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.corpora.prepared.language import open_language
from raydt.orchestration.cluster.runtime import ray_started
from raydt.tracking.schema import Stage
from raydt.training.loop import Splits, TrainConfig, train
from raydt.training.process import set_up_process


def train_plainly(cell: dict[str, Any]) -> float:
    """Train a cell by the loop alone, without reports or journal; returns the seconds."""
    set_up_process(1)
    start = time.perf_counter()
    language = open_language(Path(cell["language"]))
    train(
        TrainConfig.of(
            Protocol.model_validate(cell["protocol"]),
            Stage(cell["stage"]),
            MODELS[cell["model"]],
            cell["size_bytes"],
            cell["seed"],
        ),
        Splits(
            language.train(cell["size_bytes"]),
            language.val(cell["val_bytes"]),
            language.test(cell["test_bytes"]),
        ),
    )
    return time.perf_counter() - start


def by_worker_groups(cells: list[dict[str, Any]], storage: Path) -> list[float]:
    """Wall seconds of each cell, one after the other; Ray is up before the first."""
    seconds = []
    with ray_started(2, 1, 0.0):
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        for number, cell in enumerate(cells):
            start = time.perf_counter()
            TorchTrainer(
                train_plainly,
                train_loop_config=cell,
                scaling_config=ScalingConfig(num_workers=1),
                run_config=RunConfig(name=f"cell-{number}", storage_path=str(storage)),
            ).fit()
            seconds.append(time.perf_counter() - start)
    return seconds
