"""A grid that is refined, killed in the middle and resumed; and read like every other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tiny import ROOT, finished, grid, one_run_per_cell, results, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

DECLARED = "--sources related --sizes 8k --scratch-sizes 2k 32k --seeds 0 1".split()
REFINED = [*DECLARED, *"--until 1.05 --budget 5s".split()]
NUM_DECLARED = 2 * (1 + 3 + 2)


def rounds(storage: Path) -> list[dict]:
    path = storage / "tiny" / "added.json"
    return json.loads(path.read_text()) if path.exists() else []


def ids_added(storage: Path) -> list[tuple]:
    return [
        (cell["stage"], cell["source"], cell["target"], cell["size"], cell["seed"])
        for each in rounds(storage)
        for cell in each["cells"]
    ]


def raydt(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "raydt", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_refinement_that_was_killed_is_resumed_with_what_it_had_added(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    process = grid(tmp_path, *REFINED)
    wait_for(lambda: len(results(tmp_path)) > NUM_DECLARED, process)
    os.kill(process.pid, signal.SIGKILL)
    finished(process)
    before = ids_added(tmp_path)
    kept = results(tmp_path)
    assert len(kept) > NUM_DECLARED
    assert rounds(tmp_path)[0]["outcome"] is None

    # By the other command: what was asked for is the same.
    out = raydt("refine", "tiny", *REFINED[-4:], "--storage", str(tmp_path))
    (last,) = rounds(tmp_path)
    assert last["outcome"] is not None
    assert last["outcome"] in " ".join(out.split())
    added = ids_added(tmp_path)
    assert added[: len(before)] == before
    assert len(set(added)) == len(added)
    now = results(tmp_path)
    assert len(now) == NUM_DECLARED + len(added)
    assert {c: r["test_loss"] for c, r in kept.items()}.items() <= {
        c: r["test_loss"] for c, r in now.items()
    }.items(), "what was done stays as it was"

    assert one_run_per_cell(tmp_path).keys() == now.keys()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], "tags.`raydt.added_for` like '%wide'")
    assert len(runs) == len(added)

    status = raydt("status", "tiny", "--storage", str(tmp_path))
    assert "scratch" in status
    report = raydt("analyze", "tiny", "--storage", str(tmp_path))
    assert "not done" not in report
    html = (tmp_path / "tiny" / "report" / "report.html").read_text()
    assert "Seeds that were added" in html
    assert rounds(tmp_path)[0]["cells"][0]["why"] in html

    code, out, err = finished(grid(tmp_path, *DECLARED))
    assert code == 0, err
    assert "Nothing to train" in out, "what was added is of the sweep from now on"
