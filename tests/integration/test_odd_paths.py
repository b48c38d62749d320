"""A storage whose name means something to a URI, to rich or to a shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tiny import NUM_CELLS, finished, grid, results

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_storage_of_an_odd_name(tmp_path: Path) -> None:
    storage = tmp_path / "100%25 why? [bold]x #1"
    storage.mkdir()
    code, out, err = finished(grid(storage))
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done in {storage / 'tiny'}" in out
    assert f"--storage '{storage}'" in out
    assert len(results(storage)) == NUM_CELLS
    assert [path.name for path in tmp_path.iterdir()] == [storage.name]
    for command in ("status", "analyze"):
        done = subprocess.run(
            [sys.executable, "-m", "raydt", command, "tiny", "--storage", str(storage)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
    assert str(storage / "tiny" / "report") in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [storage.name]
    code, out, err = finished(grid(storage))
    assert code == 0, err
    assert "Nothing to train" in out
