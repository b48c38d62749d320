"""`cluster/Dockerfile`, step by step in a clean Debian, then the smoke sweep there as its user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]


def test_the_image_runs_the_smoke_sweep_as_its_user(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("needs root and mmdebstrap: apt-get install mmdebstrap")
    # CUDA's, as the index that KIND=cpu asks is PyTorch's own; where pip is configured to find
    # another torch of that version first, it is that one.
    root = tmp_path / "image"
    try:
        done = subprocess.run(
            [sys.executable, "tests/cluster/build_image.py", root, "KIND=cuda"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)  # gigabytes, which pytest would keep
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "11 of 11 cells done" in done.stdout
    assert "the smoke sweep, as raydt" in done.stdout
