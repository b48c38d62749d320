"""A launch that is killed leaves its folder, and the next one removes it; those in use stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raydt.orchestration.cluster.launch_folder import launch_folder

PROGRAM = """
import time
from raydt.orchestration.cluster.launch_folder import launch_folder
with launch_folder() as folder:
    (folder / "session").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_kill_left_goes_and_what_is_in_use_stays(root: Path) -> None:
    killed, left = holder()
    lives, used = holder()
    try:
        killed.kill()
        killed.wait()
        assert (left / "session").is_dir()
        theirs = root / "raydt-notes"  # somebody's, with no lock of ours
        theirs.mkdir()
        (theirs / "text").write_text("mine")
        with launch_folder() as folder:
            assert not left.exists()
            assert (used / "session").is_dir()
            assert folder.parent == root
        assert not folder.exists()
        assert (theirs / "text").read_text() == "mine"
    finally:
        lives.kill()
        lives.wait()


def test_it_is_gone_after_an_error_too(root: Path) -> None:
    def fail() -> None:
        with launch_folder() as folder:
            (folder / "ray").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(root.iterdir()) == []
