"""A cell that is killed with SIGKILL again and again until one attempt comes to its end.

    python tests/training/killed_cell.py FOLDER SEED WHERE

Attempts are forks of this process, which has torch imported. WHERE is `steps` (attempts kill
themselves at random steps, or are killed from outside after a random time) or `writing` (at a
random point within the writing of a checkpoint). Writes to FOLDER: `undisturbed` and `killed`, each
with weights, reports and the losses and batches of every step.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

import raydt.training.checkpoints.folder as folder_module
from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import Batch
from raydt.storage.local import LocalFolder
from raydt.training import cell
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import CheckpointFolder, Report, Resumed, Splits, TrainConfig, train
from raydt.training.process import set_up_process

MODEL = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
RECIPE = Recipe(
    budget_bytes="12800", budget_at_bytes="1k", max_batch_windows=8, min_steps=1, average="power"
)
CONFIG = TrainConfig(MODEL, RECIPE, 1_000, seed=5, evaluation_growth=1.3, patience=50)
SPLITS = Splits(
    *(generate("alba", split, 1_000, 0) for split in ("train", "val", "test")),
    source_test=generate("brio", "test", 1_000, 0),
)


class Watched(cell.Gradients):
    """Gradients that write down what they were given and what came out."""

    out: Path
    after: Callable[[], None] = staticmethod(lambda: None)

    def __call__(self, batch: Batch) -> torch.Tensor:
        loss = super().__call__(batch)
        digest = hashlib.sha256(batch.windows.tobytes() + batch.num_ignored.tobytes()).hexdigest()
        with self.out.open("a") as file:
            file.write(f"{digest} {loss.item()!r}\n")
        self.after()
        return loss


def attempt(folder: Path, checkpoints: CheckpointFolder | None) -> None:
    """One attempt at the cell; its journal begins with what it resumes."""
    folder.mkdir(exist_ok=True)
    journal: list[Report] = []
    number = len(list(folder.glob("steps-*")))
    Watched.out = folder / f"steps-{number}"
    cell.Gradients = Watched

    Watched.out.write_text("")
    first = folder / f"first-{number}"
    first.write_text("0")

    def resumed(where: Resumed) -> None:
        assert not where.damaged, where.damaged
        journal.extend(where.reports)
        first.write_text(str(where.bytes_seen // (8 * 32)))

    outcome = train(CONFIG, SPLITS, report=journal.append, checkpoints=checkpoints, resumed=resumed)
    save_weights(outcome.weights, folder / "weights.safetensors")
    result = {
        "reports": [[report.bytes_seen, report.train_loss, report.val_loss] for report in journal],
        "num_fields": len(asdict(journal[0])),
        "test_loss": outcome.test_loss,
        "source_loss": outcome.source_loss,
        "best_val_loss": outcome.best_val_loss,
        "best_bytes_seen": outcome.best_bytes_seen,
        "stopped": outcome.stopped,
    }
    LocalFolder(folder).write_json("result.json", result)


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after_calls(number: int) -> Callable[[], None]:
    """Kills at the call of this number."""
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            kill_myself()

    return count


def prepare_kill(rng: random.Random, where: str) -> float:
    """In the fork: set the trap. Seconds after which the parent kills otherwise."""
    if where == "steps":
        # At most 12 of the 50 steps an attempt: at least four kills, however fast the machine is.
        Watched.after = staticmethod(after_calls(rng.randint(1, 12)))
        return 60.0
    real_move, real_save = folder_module.move_into_place, folder_module.save_file
    trap = after_calls(rng.randint(1, 15))

    def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
        trap()
        real_save(tensors, path)
        with path.open("rb+") as file:  # what a kill in the middle of writing leaves behind
            size = path.stat().st_size
            whole = path.read_bytes()
            file.truncate(size // 2)
            trap()
            file.write(whole)
            file.truncate(size)

    def move(partial: Path, path: Path) -> None:
        trap()  # written, not yet in place
        real_move(partial, path)
        trap()  # tensors without a manifest, or nothing pruned yet

    folder_module.save_file, folder_module.move_into_place = save, move
    return 60.0


def main() -> None:
    folder, seed, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    set_up_process(1)
    attempt(folder / "undisturbed", None)
    killed, num_kills = folder / "killed", 0
    for number in range(200):
        child = os.fork()
        if child == 0:
            rng = random.Random(f"{seed}/{number}")
            limit = prepare_kill(rng, where)
            signal.signal(signal.SIGALRM, lambda *_: kill_myself())
            signal.setitimer(signal.ITIMER_REAL, limit)
            # Often rarer than a kill, so that steps are made twice.
            every_steps = 1 if where == "writing" else rng.choice([1, 3, 7])
            checkpoints = CheckpointFolder(killed / "ckpt", "f", every_steps=every_steps)
            attempt(killed, checkpoints)
            assert len(list((killed / "ckpt").glob("*.json"))) <= 2
            checkpoints.remove()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        num_kills += 1
    print(json.dumps({"kills": num_kills}))


if __name__ == "__main__":
    main()
