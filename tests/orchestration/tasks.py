"""Tasks for tests: whole, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.orchestration.run.task import CellTask, Processes


def cell_task(cell_id: str, **said: Any) -> CellTask:
    """The task of a cell."""
    facts: dict[str, Any] = {
        "parent_id": None,
        "fingerprint": "f" * 64,
        "data": (),
        "launch": "L1",
        "sweep": "runs/x",
        "folder": f"runs/x/cells/{cell_id}",
        "cache": "cache",
        "model": "nano",
        "shape": MODELS["nano"],
        "recipe": Recipe(),
        "size_bytes": 2_000,
        "seed": 0,
        "evaluation_growth": 1.2,
        "evaluations": 8,
        "tolerance": 0.003,
        "patience": 4,
        "language": "runs/corpora/de",
        "data_digest": "d" * 64,
        "val_bytes": 2_000,
        "test_bytes": 4_000,
        "test_stride_bytes": 64,
        "precision": "auto",
        "checkpoint_seconds": 60.0,
        "keep_weights": True,
        "sample_seconds": None,
        "processes": Processes(),
    }
    return CellTask(cell_id=cell_id, **{**facts, **said})
