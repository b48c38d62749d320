"""A sweep whose storage is an object store: servers on loopback that speak as S3 (moto) and as
Google's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raydt.storage.folder import walk
from raydt.storage.opening import open_folder
from tests.integration.tiny import NUM_CELLS, ROOT, TINY, results

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def launched(storage: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "sweeps" / "grid.py"), *TINY, "--storage", storage, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_sweep_in_an_object_store_ends_as_on_a_disk(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: str = request.getfixturevalue(f"{kind}_storage")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    on_disk = launched(str(tmp_path / "disk"), tmp_path)
    assert on_disk.returncode == 0, on_disk.stderr
    done = launched(store, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    storage = open_folder(store)
    files = list(walk(storage / "tiny"))
    found = {
        result["cell_id"]: result["test_loss"]
        for name in files
        if name.endswith("/result.json")
        for result in [(storage / "tiny").read_json(name)]
    }
    assert len(found) == NUM_CELLS
    assert found == {c: r["test_loss"] for c, r in results(tmp_path / "disk").items()}
    assert not [name for name in files if "/checkpoints/" in name]
    # Another machine, which has nothing but the address.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    raydt = [sys.executable, "-m", "raydt"]
    status = subprocess.run(
        [*raydt, "status", "--storage", store], capture_output=True, text=True, check=True
    )
    assert "waiting" in status.stdout
    again = launched(store, tmp_path)
    assert again.returncode == 0, again.stderr
    assert "Nothing to train" in again.stdout
    report = subprocess.run(
        [*raydt, "analyze", "--storage", store], capture_output=True, text=True, check=False
    )
    assert report.returncode == 0, report.stderr
    assert "report.html" in report.stdout
