"""`cluster/slurm.sbatch` by the `sbatch` of a real SLURM of two nodes: left alone, out of time,
with a node lost, cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.cluster.slurm import CPUS, MEMORY_MIB, NODES, ROOT, Slurm, slurm
from tests.integration.tiny import NUM_CELLS, TINY, results

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

BATCH = str(ROOT / "cluster" / "slurm.sbatch")
# Pretrains that last until SLURM, which looks every 30 seconds, sees that the time is up.
LONG = "--protocol.tolerance 0 --protocol.patience 1000 --protocol.pretrain.epochs 120".split()
WORDS = [*TINY, *LONG, "--slots", "4"]
# With a third source, whose pretrain runs while the cells of the others end.
MORE = ["--sources", "related", "nonsense", "unrelated"]
NUM_MORE_CELLS = NUM_CELLS + 1 + 3
# What the driver finds of Ray, then the sweep.
SCRIPT = f"""\
import runpy, sys, ray
ray.init()
print("RESOURCES", ray.cluster_resources()["CPU"], ray.cluster_resources().get("GPU"))
print("NODES", *sorted(node["NodeManagerHostname"] for node in ray.nodes()))
ray.shutdown()
sys.argv[0] = {str(ROOT / "sweeps" / "grid.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Slurm]:
    with slurm() as running:
        yield running


def submit(running: Slurm, storage: Path, *options: str, more: Sequence[str] = ()) -> str:
    """The sweep as a user submits it; the number of its job."""
    storage.mkdir(exist_ok=True)
    (storage / "sweep.py").write_text(SCRIPT)
    sweep = [str(storage / "sweep.py"), *WORDS, *more, "--storage", str(storage)]
    said = running.said(
        "sbatch", f"--output={storage}/%j.log", "--cpus-per-task=1", *options, BATCH, *sweep
    )
    return re.fullmatch(r"Submitted batch job (\d+)", said).group(1)  # type: ignore[union-attr]


def begun(storage: Path) -> list[Path]:
    return list((storage / "tiny" / "cells").rglob("attempts/*/journal.jsonl"))


def log(storage: Path, job: str) -> str:
    path = storage / f"{job}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def at_work(storage: Path) -> list[int]:
    """Processes of the sweep, on whichever node."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(storage) in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def losses(storage: Path) -> dict[str, float]:
    """To the last bit, by cell."""
    return {cell: result["test_loss"] for cell, result in results(storage).items()}


@pytest.fixture(scope="module")
def calm(two_nodes: Slurm) -> Path:
    """The storage of a sweep that was left alone, but for looks from the login machine."""
    storage = two_nodes.shared / "calm"
    job = submit(two_nodes, storage, "--gpus-per-node=1", more=MORE)
    two_nodes.until(lambda: len(begun(storage)) >= 2, "two cells that run")
    status = two_nodes.said("raydt", "status", "tiny", "--storage", str(storage))
    assert "running" in status
    two_nodes.until(lambda: len(results(storage)) >= NUM_CELLS, "cells that are done")
    analysis = two_nodes.said("raydt", "analyze", "tiny", "--storage", str(storage))
    assert "D_T into alba" in analysis
    assert two_nodes.state(job) == "RUNNING", "all of this while the job runs"
    two_nodes.until(lambda: two_nodes.state(job) not in ("PENDING", "RUNNING"), "an end")
    assert two_nodes.state(job) == "COMPLETED", log(storage, job)
    return storage


@pytest.mark.long
def test_a_sweep_has_what_slurm_gave_and_no_more(two_nodes: Slurm, calm: Path) -> None:
    (path,) = calm.glob("*.log")
    said = path.read_text(errors="replace")
    assert CPUS > 1
    assert "RESOURCES 2.0 2.0" in said, "of each node one core of two, and its GPU"
    assert f"NODES {' '.join(NODES)}" in said
    assert f"{NUM_MORE_CELLS} of {NUM_MORE_CELLS} cells done" in said
    assert len(results(calm)) == NUM_MORE_CELLS


@pytest.mark.long
def test_out_of_time_it_queues_again_and_ends_the_same(two_nodes: Slurm, calm: Path) -> None:
    storage = two_nodes.shared / "timed"
    job = submit(two_nodes, storage, "--time=60")
    two_nodes.until(lambda: len(begun(storage)) >= 2, "two cells that run")
    # Less than the five minutes of the file are left: SLURM says so.
    two_nodes.said("scontrol", "update", f"JobId={job}", "TimeLimit=5")
    two_nodes.until(lambda: two_nodes.state(job) == "PENDING", "a job that waits again")
    assert "Received SIGUSR2" in log(storage, job)
    two_nodes.until(lambda: at_work(storage) == [], "nothing that works on")
    before = results(storage)
    assert len(before) < NUM_CELLS
    two_nodes.said("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    two_nodes.until(lambda: two_nodes.state(job) == "COMPLETED", "an end")
    assert len(losses(storage)) == NUM_CELLS
    assert losses(storage).items() <= losses(calm).items()
    rows = [json.loads(line) for path in begun(storage) for line in path.read_text().splitlines()]
    resumed = [row["bytes_seen"] for row in rows if row["event"] == "resume"]
    assert resumed, "a cell that was cut off went on from its checkpoint"
    assert min(resumed) > 0


@pytest.mark.long
def test_a_lost_node_queues_it_again_and_after_scancel_it_resumes(
    two_nodes: Slurm, calm: Path
) -> None:
    storage = two_nodes.shared / "lost"
    job = submit(two_nodes, storage)
    two_nodes.until(lambda: len(begun(storage)) >= 2, "two cells that run")
    two_nodes.said("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
    two_nodes.until(lambda: two_nodes.state(job) == "PENDING", "a job that waits again")
    two_nodes.until(lambda: at_work(storage) == [], "nothing that works on")
    attempts = len(begun(storage))
    two_nodes.said("scontrol", "update", "NodeName=n2", "State=RESUME")
    two_nodes.until(lambda: len(begun(storage)) > attempts, "cells that resume")
    two_nodes.said("scancel", job)
    two_nodes.until(lambda: two_nodes.state(job) == "CANCELLED", "a cancelled job")
    two_nodes.until(lambda: at_work(storage) == [], "nothing that works on")
    status = two_nodes.said("raydt", "status", "tiny", "--storage", str(storage))
    assert "running" not in status
    assert len(losses(storage)) < NUM_CELLS
    again = submit(two_nodes, storage)
    two_nodes.until(lambda: two_nodes.state(again) == "COMPLETED", "an end")
    assert len(losses(storage)) == NUM_CELLS
    assert losses(storage).items() <= losses(calm).items()


GRID = "sweeps/grid.py"


@pytest.mark.parametrize(
    ("sweep", "options", "expected"),
    [
        ([], [], "expected a sweep after this file's name, such as sweeps/grid.py, got nothing"),
        (["sweeps/gird.py"], [], f"expected a Python file in {ROOT}, got 'sweeps/gird.py'"),
        ([GRID, "--gpus-per-cell=0.25"], ["--exclusive=user"], "expected --gpus-per-node=N before"),
        ([GRID], ["--export=PATH=/usr/bin:/bin"], "got python: none, ray: none; before sbatch:"),
    ],
    ids=["no sweep", "not there", "no GPU", "no raydt"],
)
def test_what_cannot_run_ends_before_ray_starts(
    sweep: list[str], options: list[str], expected: str, two_nodes: Slurm
) -> None:
    tried = [f"--output={two_nodes.shared}/%j.log", f"--chdir={ROOT}", *options]
    job = two_nodes.said("sbatch", "--cpus-per-task=1", *tried, BATCH, *sweep).split()[-1]
    two_nodes.until(lambda: two_nodes.state(job) not in ("PENDING", "RUNNING"), "an end")
    assert two_nodes.state(job) == "FAILED"
    said = log(two_nodes.shared, job)
    assert expected in said
    assert "Starting Ray" not in said
    shown = two_nodes.said("scontrol", "show", "job", job)
    assert f"mem={len(NODES) * MEMORY_MIB}M" in shown, "all memory of both nodes"


@pytest.mark.parametrize(
    ("line", "planted"),
    [
        ("--ntasks-per-node=1", "--ntask-per-node=1"),
        ("--time=04:00:00", "--time=four-hours"),
        ("--signal=B:USR1@300", "--signal=B:USR7@300"),
        ("--nodes=2", "--nodes=3"),
        ("--mem=0", "--mem=2T"),
    ],
)
def test_a_planted_mistake_is_found(line: str, planted: str, two_nodes: Slurm) -> None:
    """By `sbatch --test-only`, which takes the file as it is."""
    tried = ("sbatch", "--test-only", "--cpus-per-task=1")
    assert two_nodes.run(*tried, BATCH, "x").returncode == 0
    text = Path(BATCH).read_text()
    assert text.count(f"#SBATCH {line}\n") == 1
    path = two_nodes.shared / "planted.sbatch"
    path.write_text(text.replace(f"#SBATCH {line}\n", f"#SBATCH {planted}\n"))
    assert two_nodes.run(*tried, str(path), "x").returncode != 0
