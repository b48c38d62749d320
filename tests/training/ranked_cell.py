"""The same cell by one process and by two over loopback (gloo).

    python tests/training/ranked_cell.py FOLDER UNSEEN_BYTES

Ranks are forks of this process, which has torch imported. Writes what each rank ended with to
`FOLDER/<ranks>-<rank>.safetensors` and `.json`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import CheckpointFolder, Ranks, Report, Splits, TrainConfig, train

MODEL = ModelConfig(width=32, num_layers=2, num_heads=1, hidden=64, window_bytes=32)
# 1,010 bytes: rows with targets that do not count, and not as many on each rank.
RECIPE = Recipe(
    budget_bytes="5k",
    budget_at_bytes="1010",
    max_batch_windows=8,
    min_steps=1,
    optimizer="adamw",
    learning_rate=1e-3,
    average="power",
    precision="float32",
    unseen_bytes=sys.argv[2],
)
SPLITS = Splits(*(generate("alba", split, 1_010, 0) for split in ("train", "val", "test")))
CONFIG = TrainConfig(MODEL, RECIPE, 1_010, evaluations=4, patience=4, test_stride_bytes=8)


def run(folder: Path, rank: int, num_ranks: int) -> None:
    torch.set_num_threads(1)
    reports: list[Report] = []
    checkpoints = CheckpointFolder(folder / f"checkpoints-{num_ranks}", every_steps=3)
    if rank == 1:  # of another clock, by which it is time at other steps
        checkpoints.due = lambda step: step % 2 == 1  # type: ignore[method-assign]
    outcome = train(
        CONFIG, SPLITS, report=reports.append, checkpoints=checkpoints, ranks=Ranks(rank, num_ranks)
    )
    save_weights(outcome.weights, folder / f"{num_ranks}-{rank}.safetensors")
    facts = {
        "test_loss": outcome.test_loss,
        "stderr": outcome.test_loss_stderr,
        "best_val_loss": outcome.best_val_loss,
        "bytes_seen": outcome.bytes_seen,
        "val_losses": [report.val_loss for report in reports],
        "train_losses": [report.train_loss for report in reports],
    }
    (folder / f"{num_ranks}-{rank}.json").write_text(json.dumps(facts))


def main() -> None:
    folder = Path(sys.argv[1])
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            store = dist.FileStore(str(folder / "store"), 2)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
            ranks, cpu = Ranks.of_process_group(), torch.device("cpu")
            assert ranks == Ranks(rank, 2)
            assert ranks.min(5 + rank, cpu) == 5
            assert ranks.any(rank == 1, cpu)
            assert not ranks.any(False, cpu)
            run(folder, rank, 2)
            dist.destroy_process_group()
            os._exit(0)
        children.append(child)
    run(folder, 0, 1)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main()
