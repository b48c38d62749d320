"""Nodes that go away, and worker groups: on a real cluster of several nodes on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.local import LocalCluster, cluster
from tests.integration.tiny import NUM_CELLS, ROOT, TINY, finished, grid, results, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SEEDS = ["--seeds", "0", "1"]
_PREEMPTED = (
    "--reason DRAIN_NODE_REASON_PREEMPTION --reason-message spot --deadline-remaining-seconds 1"
).split()


def joined(here: LocalCluster, storage: Path, *words: str) -> subprocess.Popen[str]:
    """A launch as a driver of the cluster."""
    script, place = str(ROOT / "sweeps" / "grid.py"), ["--storage", str(storage)]
    return subprocess.Popen(
        [sys.executable, script, *TINY, *place, "--slots", "4", *words],
        cwd=storage,
        env={**here.environment, "RAY_ADDRESS": here.gcs_address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def losses(storage: Path) -> dict[str, float]:
    return {cell_id: result["test_loss"] for cell_id, result in results(storage).items()}


def training_actor(here: LocalCluster) -> dict | None:
    """An actor that Tune has made, wherever it runs."""
    made = [actor for actor in here.actors() if actor["class_name"] != "JobSupervisor"]
    return made[0] if made else None


def node_of(pid: int) -> list[psutil.Process]:
    """All processes of the node that a process runs on."""
    for parent in psutil.Process(pid).parents():
        if any(word.endswith("worker_node.py") for word in parent.cmdline()):
            return [parent, *parent.children(recursive=True)]
    raise AssertionError(f"process {pid} is on no worker node")


def test_cells_of_a_node_that_dies_or_is_drained_go_on_elsewhere(tmp_path: Path) -> None:
    calm, dead, drained = (tmp_path / name for name in ("calm", "dead", "drained"))
    for folder in (calm, dead, drained):
        folder.mkdir()
    code, _, err = finished(grid(calm, *SEEDS))
    assert code == 0, err
    with cluster(0, (1, 1)) as here:
        process = joined(here, drained, *SEEDS)
        wait_for(lambda: len(results(drained)) >= 2, process)
        actor = training_actor(here)
        assert actor is not None
        # What a cloud says two minutes before it takes a spot machine back.
        drain = [sys.executable, "-m", "ray.scripts.scripts", "drain-node"]
        notice = subprocess.run(
            [*drain, "--address", here.gcs_address, "--node-id", actor["node_id"], *_PREEMPTED],
            env=here.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert notice.returncode == 0, notice.stderr
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, out + err
        assert losses(drained) == losses(calm)
    with cluster(0, (1, 1)) as here:
        process = joined(here, dead, *SEEDS)
        wait_for(lambda: len(results(dead)) >= 2, process)
        actor = training_actor(here)
        assert actor is not None
        for member in node_of(actor["pid"]):
            member.kill()
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, out + err
        assert losses(dead) == losses(calm)


def test_large_cells_are_trained_by_worker_groups_and_survive_a_killed_worker(
    tmp_path: Path,
) -> None:
    calm, groups = tmp_path / "calm", tmp_path / "groups"
    for folder in (calm, groups):
        folder.mkdir()
    few = ["--sources", "related", "--sizes", "8k", "--protocol.pretrain.epochs", "4"]
    # In bfloat16 the gradients of each half of a batch are rounded, and a cell as small as these
    # makes half a per cent of the loss of it.
    for stage in ("pretrain", "scratch", "finetune"):
        few += [f"--protocol.{stage}.precision", "float32"]
    code, _, err = finished(grid(calm, *few))
    assert code == 0, err
    process = grid(
        groups, *few, "--workers", "2", "--large-cell-seconds", "0", "--checkpoint-seconds", "0.05"
    )
    cells = groups / "tiny" / "cells"
    wait_for(lambda: bool(list(cells.rglob("attempts/*/checkpoints/*.json"))), process)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "RayTrainWorker" in child.name() or "RayTrainWorker" in " ".join(child.cmdline())
    ]
    assert workers, "no worker group"
    workers[0].kill()
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    # Two workers add up in another order than one.
    assert losses(groups) == pytest.approx(losses(calm), rel=2e-3)
    resumed = [
        path
        for path in cells.rglob("journal.jsonl")
        if any(json.loads(line)["event"] == "resume" for line in path.read_text().splitlines())
    ]
    assert resumed, "the cell that was cut off began from nothing"
    assert len(results(groups)) == 4 < NUM_CELLS
