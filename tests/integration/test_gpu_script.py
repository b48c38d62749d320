"""benchmarks/gpu.sh in little, on this machine: so that it runs on the day there is a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_every_section_runs_and_holds(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = subprocess.run(
        [root / "benchmarks" / "gpu.sh", "--reduced", "--out", out],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sections = json.loads(out.read_text())
    assert len(sections) == 7
    rows = [row for section in sections.values() for row in section]
    assert all(rows)
    held = [row["holds"] for row in sections["correctness"]]
    assert held == [True] * len(held) == [True] * 6
    assert {row["way"] for row in sections["utilisation"]} >= {"eager", "blocks compiled"}


def test_without_a_gpu_it_says_so(root: Path) -> None:
    done = subprocess.run(
        [root / "benchmarks" / "gpu.sh"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 2
    assert (
        done.stdout.strip()
        == "expected a GPU that torch can use, got none; --reduced runs on a CPU"
    )
