"""The command of `cluster/mlflow.yaml` as a process: a server that pods reach by its name, and that
a page of somebody else's does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.manifests import documents, pods
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """Its port."""
    (container,) = (
        container
        for document in documents("mlflow.yaml")
        for pod in pods(document)
        for container in pod["spec"]["containers"]
        if container["name"] == "mlflow"
    )
    port = free_port()
    here = {
        "mlflow": shutil.which("mlflow", path=str(Path(sys.executable).parent)),
        "0.0.0.0": "127.0.0.1",
        "5000": str(port),
        "s3://bucket/mlflow-artifacts": str(tmp_path),
    }
    assert here.keys() <= set(container["command"])
    given = {each["name"]: each.get("value") for each in container["env"]}
    assert given["MLFLOW_BACKEND_STORE_URI"] == "postgresql+pg8000://mlflow@raydt-postgres/mlflow"
    process = subprocess.Popen(
        [here.get(word, word) for word in container["command"]],
        cwd=tmp_path,
        env={
            **os.environ,
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": given["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"],
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(2000):
            try:
                asked(port, "/health", "localhost:5000")
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(port: int, path: str, host: str) -> int:
    """The status of its answer to who calls it `host`."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pods_reach_it_by_its_name(server: int) -> None:
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    assert asked(server, path, "raydt-mlflow:5000") == 200
    for name in ("localhost:5000", "127.0.0.1:5000"):
        assert asked(server, path, name) == 200, "behind kubectl port-forward"
    assert asked(server, path, "elsewhere.example") == 403
    assert asked(server, "/health", "10.1.2.3:5000") == 200, "the probe of a pod"
