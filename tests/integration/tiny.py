"""A tiny grid of ten cells and how the tests launch it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# Two sources, one target, two rungs: 8 cells of a second or so.
TINY = (
    "--sources related nonsense --targets alba --sizes 2k 8k --seeds 0 --pretrain-size 20k "
    "--protocol.pretrain.epochs 1 --protocol.scratch.epochs 3 --protocol.finetune.epochs 3 "
    "--protocol.val-bytes 2k --protocol.test-bytes 4k "
    "--slots 2 --name tiny"
).split()
NUM_CELLS = 2 + 2 + 2 * 3
# Cells of a second or two, for what takes as long as the start of a process.
LONGER = "--protocol.tolerance 0 --protocol.patience 50 --protocol.pretrain.epochs 8".split()
for stage in ("scratch", "finetune"):
    LONGER += [f"--protocol.{stage}.epochs", "0=40", "8k=20"]


def grid(storage: Path, *words: str) -> subprocess.Popen[str]:
    """`python sweeps/grid.py`, in a process group of its own, as from a shell."""
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "sweeps" / "grid.py"),
            *TINY,
            "--storage",
            str(storage),
            *words,
        ],
        cwd=storage,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def results(storage: Path) -> dict[str, dict]:
    found = [json.loads(p.read_text()) for p in (storage / "tiny" / "cells").rglob("result.json")]
    # A launch that took a sweep over says of open cells that they are open: no result yet.
    return {result["cell_id"]: result for result in found if "cell_id" in result}


def attempt_of(storage: Path, result: dict) -> Path:
    """The folder of the attempt that a result is of."""
    return storage / "tiny" / "cells" / result["cell_id"] / "attempts" / result["attempt"]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def one_run_per_cell(storage: Path) -> dict[str, float]:
    """The test losses that the SQLite store holds, by cell; each cell has one run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], "tags.`raydt.kind` = 'cell'")
    losses = {run.data.tags["raydt.cell_id"]: run.data.metrics["test/loss"] for run in runs}
    assert len(runs) == len(losses)
    return losses
