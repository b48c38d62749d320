"""Sweeps as jobs of a real cluster of three nodes on loopback: submitted, watched, fetched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.local import ROOT, LocalCluster, cluster, until
from tests.integration.tiny import LONGER, NUM_CELLS, TINY, results

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SCRIPT = "sweeps/grid.py"
# Two sweeps last long enough to meet, and each node gets some although a process takes longer to
# start.
MANY = ["--seeds", "0", "1", *LONGER]
NUM_MANY = 2 * NUM_CELLS


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[LocalCluster]:
    """A head that trains nothing, as in cluster.yaml, would hide a node: here all three do."""
    with cluster(1, (1, 1)) as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user submits from: the code, and nothing of this repository's history or runs."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("raydt", "analysis", "sweeps"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def tiny(storage: Path, *words: str) -> list[str]:
    return ["--", *TINY, "--storage", str(storage), *words]


def started_on(storage: Path, name: str = "tiny") -> list[dict]:
    journals = (storage / name / "cells").rglob("attempts/*/journal.jsonl")
    return [json.loads(path.read_text().splitlines()[0]) for path in journals]


def test_a_grid_is_submitted_watched_and_fetched(
    three_nodes: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    words = tiny(tmp_path, *MANY, "--slots", "3")
    process = subprocess.Popen(
        [sys.executable, "-m", "raydt", "submit", "-f", SCRIPT, *words],
        cwd=checkout,
        env=three_nodes.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    busy: set[str] = set()
    while process.poll() is None:
        # Where the cells run: the nodes of the actors that Tune has made.
        busy |= {a["node_id"] for a in three_nodes.actors() if a["class_name"] != "JobSupervisor"}
        time.sleep(0.1)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert "Submitted tiny-" in out
    assert f"[{NUM_MANY}/{NUM_MANY}] " in out
    assert f"{NUM_MANY} of {NUM_MANY} cells done" in out
    assert "Traceback" not in out + err
    assert {node["node_id"] for node in three_nodes.nodes()} <= busy, "a node did nothing"
    done = results(tmp_path)
    assert len(done) == NUM_MANY
    assert all(result["status"] == "done" for result in done.values())
    # Watched and fetched from where there is no cluster at all.
    status = three_nodes.raydt(checkout, "status", "--storage", str(tmp_path))
    assert status.returncode == 0, status.stderr
    assert "sweep tiny" in status.stdout
    analysis = three_nodes.raydt(checkout, "analyze", "tiny", "--storage", str(tmp_path))
    assert analysis.returncode == 0, analysis.stderr
    assert (tmp_path / "tiny" / "report" / "report.html").exists()
    listed = three_nodes.raydt(checkout, "jobs")
    assert "succeeded" in listed.stdout
    again = three_nodes.raydt(checkout, "logs", "tiny")
    assert f"{NUM_MANY} of {NUM_MANY} cells done" in again.stdout
    assert not (checkout / "runs").exists()


def test_stopped_it_leaves_nothing_running_and_goes_on_when_asked(
    three_nodes: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    # Enough to train that stopping, which takes some seconds, comes before the end.
    words = ("submit", SCRIPT, *tiny(tmp_path, *MANY))
    submitted = three_nodes.raydt(checkout, *words)
    assert submitted.returncode == 0, submitted.stderr
    assert "raydt logs -f tiny-" in submitted.stdout
    twice = three_nodes.raydt(checkout, *words)
    assert twice.returncode == 2
    assert "one that is not running on the cluster" in twice.stderr
    until(lambda: len(results(tmp_path)) >= 2, "two cells")
    stopped = three_nodes.raydt(checkout, "stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped" in stopped.stdout
    assert "raydt resume tiny" in stopped.stdout
    before = results(tmp_path)
    assert 2 <= len(before) < NUM_MANY
    until(lambda: three_nodes.actors() == [], "no actor left")
    drivers = [p for p in psutil.process_iter() if str(tmp_path) in " ".join(_words(p))]
    assert drivers == []
    assert "has already ended" in three_nodes.raydt(checkout, "stop", "tiny").stdout

    resumed = three_nodes.raydt(checkout, "resume", "-f", "tiny")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"{NUM_MANY} of {NUM_MANY} cells done" in resumed.stdout
    after = results(tmp_path)
    assert {c: after[c]["attempt"] for c in before} == {c: before[c]["attempt"] for c in before}
    # A new cluster on an old storage knows no job: the storage has the sweep.
    recorded = three_nodes.raydt(checkout, "resume", "-f", "tiny", "--storage", str(tmp_path))
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    assert "run --recorded" in recorded.stdout
    assert f"Nothing to train: all {NUM_MANY} cells" in recorded.stdout


def test_two_sweeps_share_the_cluster(
    three_nodes: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    # Two slots each, of three: what one leaves the other has.
    for name in ("left", "right"):
        # The storage is one, and each has a store: SQLite has one writer at a time.
        words = tiny(
            tmp_path,
            *MANY,
            "--name",
            name,
            "--tracking-uri",
            f"sqlite:///{tmp_path}/{name}.db",
        )
        submitted = three_nodes.raydt(checkout, "submit", SCRIPT, *words)
        assert submitted.returncode == 0, submitted.stderr
    for name in ("left", "right"):
        followed = three_nodes.raydt(checkout, "logs", "-f", name)
        assert followed.returncode == 0, followed.stdout + followed.stderr
        assert f"{NUM_MANY} of {NUM_MANY} cells done" in followed.stdout
    spans = [
        (min(times), max(times))
        for times in ([r["time"] for r in started_on(tmp_path, n)] for n in ("left", "right"))
    ]
    assert spans[0][0] < spans[1][1]
    assert spans[1][0] < spans[0][1], "one waited for the other"


def test_a_sweep_that_fails_is_a_failure_here(
    three_nodes: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").write_text("a file where a folder belongs")
    done = three_nodes.raydt(checkout, "submit", "-f", SCRIPT, *tiny(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_leaving_the_log_does_not_stop_the_sweep(
    three_nodes: LocalCluster, checkout: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "raydt", "submit", "-f", SCRIPT, *tiny(tmp_path)],
        cwd=checkout,
        env=three_nodes.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(results(tmp_path)) >= 1, "a cell")
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The job is still running" in out
    assert "Traceback" not in err
    until(lambda: len(results(tmp_path)) == NUM_CELLS, "all cells", 240)


def test_another_token_is_not_let_in(three_nodes: LocalCluster, checkout: Path) -> None:
    stranger = {**three_nodes.environment, "RAY_AUTH_TOKEN": "f" * 32}
    done = subprocess.run(
        [sys.executable, "-m", "raydt", "jobs"],
        cwd=checkout,
        env=stranger,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "expected access" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_of_the_cluster_listens_beyond_loopback(three_nodes: LocalCluster) -> None:
    home = three_nodes.environment["HOME"]
    open_to_others = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") != home:
                continue
            found = process.net_connections("inet")
        except (psutil.Error, OSError):
            continue
        open_to_others += [
            (process.name(), one.laddr)
            for one in found
            if one.status == psutil.CONN_LISTEN
            and one.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
        ]
    assert open_to_others == []


def test_a_sweep_that_the_cluster_does_not_know(three_nodes: LocalCluster, checkout: Path) -> None:
    for command in ("logs", "stop", "resume"):
        done = three_nodes.raydt(checkout, command, "nobody")
        assert done.returncode == 2
        assert "'nobody'" in done.stderr
        assert "Traceback" not in done.stderr


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
