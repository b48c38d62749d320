"""A cluster that says it has GPUs which torch cannot use: cells that asked for one fail and say
what to do, cells that did not train on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cluster.local import cluster
from tests.integration.tiny import NUM_CELLS, ROOT, TINY, results

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use a GPU here"),
]


def test_gpus_that_torch_cannot_use_are_an_error_and_no_cpu(tmp_path: Path) -> None:
    def launched(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        storage = tmp_path / name
        storage.mkdir()
        script = str(ROOT / "sweeps" / "grid.py")
        return subprocess.run(
            [sys.executable, script, *TINY, "--storage", str(storage), *words],
            cwd=storage,
            env={**here.environment, "RAY_ADDRESS": here.gcs_address},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    with cluster(2, num_gpus=1) as here:
        few = ["--sources", "related", "--targets", "alba", "--sizes", "2k", "--max-retries", "0"]
        on_gpu = launched("gpu", "--gpus-per-cell", "0.5", *few)
        on_cpu = launched("cpu")
    assert on_gpu.returncode == 1, on_gpu.stdout + on_gpu.stderr
    found = results(tmp_path / "gpu")
    assert {result["status"] for result in found.values()} == {"failed"}
    for result in found.values():
        assert "expected one that torch" in result["reason"]
        assert "install the wheel for your driver" in result["reason"]
    assert on_cpu.returncode == 0, on_cpu.stdout + on_cpu.stderr
    trained = results(tmp_path / "cpu")
    assert len(trained) == NUM_CELLS
    assert {(result["status"], result["gpu"]) for result in trained.values()} == {("done", None)}
