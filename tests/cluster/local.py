"""A real Ray on this machine: a head and workers on loopback, ended by the ids of its processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.ports import free_ports

ROOT = Path(__file__).parent.parent.parent
WORKER_NODE = Path(__file__).parent / "worker_node.py"
BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef0123456789abcdef"
OBJECT_STORE_BYTES = 80_000_000
START_SECONDS = 120.0  # a loaded machine takes its time; nothing here is timed


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster and the environment that reaches it."""

    address: str  # of its dashboard
    gcs_address: str
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """What the dashboard answers, as JSON."""
        request = urllib.request.Request(
            self.address + path, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, as the State API has them."""
        answer = self.get("/api/v0/nodes?limit=100")
        rows = answer["data"]["result"]["result"]
        return [row for row in rows if row["state"] == "ALIVE"]

    def actors(self) -> list[dict[str, Any]]:
        """The actors that are alive, but for the supervisors of jobs."""
        answer = self.get("/api/v0/actors?limit=1000&detail=1")
        rows = answer["data"]["result"]["result"]
        return [row for row in rows if row["state"] == "ALIVE"]

    def raydt(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """`raydt` in `folder`, from a machine that only knows the dashboard's address."""
        return subprocess.run(
            [sys.executable, "-m", "raydt", *words],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
        )


def until(
    condition: Callable[[], bool],
    what: str,
    seconds: float = START_SECONDS,
    why_not: Callable[[], str] = str,
) -> None:
    """Wait for `condition`; refused connections and half an answer count as no."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not up yet
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what} {why_not()}")


@contextmanager
def cluster(
    head_cpus: int,
    worker_cpus: tuple[int, ...] = (),
    autoscaling: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    num_gpus: int = 0,
    without: Collection[str] = (),
) -> Iterator[LocalCluster]:
    """`ray start` of a head and of one node per entry of `worker_cpus`, for the time of the block.

    With `autoscaling`, Ray's own autoscaler runs beside the head with that configuration. The head
    says that it has `num_gpus`. Variables named in `without` are set nowhere.
    """
    # The path of a unix socket has at most 107 bytes, and Ray adds some 60.
    folder = Path(tempfile.mkdtemp(prefix="rc", dir="/tmp"))
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "HOME": str(folder),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or Ray replaces loopback
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    for name in without:
        env.pop(name, None)
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        with (folder / f"{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                env={name: value for name, value in env.items() if name != "RAY_ADDRESS"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    def start_head() -> LocalCluster:
        gcs_port, dashboard_port, client_port, *agent_ports = free_ports(6)
        env["RAY_ADDRESS"] = f"http://127.0.0.1:{dashboard_port}"
        options = {
            "node-ip-address": "127.0.0.1",
            "object-store-memory": OBJECT_STORE_BYTES,
            "min-worker-port": 0,
            "max-worker-port": 0,
            "dashboard-agent-listen-port": agent_ports[0],
            "dashboard-agent-grpc-port": agent_ports[1],
            "metrics-export-port": agent_ports[2],
            "port": gcs_port,
            "num-cpus": head_cpus,
            "num-gpus": num_gpus,
            "dashboard-host": "127.0.0.1",
            "dashboard-port": dashboard_port,
            "temp-dir": folder / "r",
            "ray-client-server-port": client_port,
        }
        words = ["-m", "ray.scripts.scripts", "start", "--head", "--block"]
        words += [f"--{name}={value}" for name, value in options.items()]
        if autoscaling is not None:
            autoscaling["provider"]["gcs_address"] = f"127.0.0.1:{gcs_port}"
            (folder / "autoscaling.json").write_text(json.dumps(autoscaling))
            words += ["--autoscaling-config", str(folder / "autoscaling.json")]
        start(*words)
        here = LocalCluster(env["RAY_ADDRESS"], f"127.0.0.1:{gcs_port}", env)
        until(lambda: len(here.nodes()) == 1, "a head", why_not=lambda: _tail(folder))
        return here

    try:
        try:
            here = start_head()
        except AssertionError as problem:  # Ray's own: seen once in some hundred starts
            warnings.warn(f"a second try to start a head: {problem}", stacklevel=2)
            _end(started, folder)
            here = start_head()
        until(lambda: here.get("/api/jobs/") == [], "the Jobs API")
        for number, num_cpus in enumerate(worker_cpus, start=2):
            # One by one and, on a machine under load, more than once: Ray gives a node 30 seconds.
            words = (str(WORKER_NODE), here.gcs_address, str(num_cpus), str(folder / f"n{number}"))
            worker: list[subprocess.Popen[bytes]] = []

            def joined(worker=worker, words=words, number=number) -> bool:
                if not worker or worker[-1].poll() is not None:
                    worker.append(start(*words))
                return len(here.nodes()) == number

            until(joined, f"node {number}", 2 * START_SECONDS, lambda: _tail(folder))
        yield here
    finally:
        _end(started, folder)
        shutil.rmtree(folder, ignore_errors=True)


def _end(started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """End these processes and all that came of them, and nothing else."""
    family = []
    for process in started:
        family += _family(process.pid)
    # Nodes of the autoscaler and workers may have lost their parents; all of ours hold this HOME.
    family += [p for p in psutil.process_iter() if _home(p) == str(folder)]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in set(family):
            try:
                process.send_signal(sign)
            except psutil.NoSuchProcess:
                continue
        _, family = psutil.wait_procs(set(family), timeout=10)
    for process in started:
        process.wait(timeout=30)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _home(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("HOME")
    except (psutil.Error, OSError):
        return None


def _tail(folder: Path) -> str:
    logs = [*folder.glob("*.log"), *folder.glob("r/session_latest/logs/*.*")]
    tails = ((path, path.read_text(errors="replace")[-1000:]) for path in sorted(logs))
    return "\n".join(f"{path}: {tail}" for path, tail in tails if tail.strip())
