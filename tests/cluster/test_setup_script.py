"""`cluster/setup.sh`: what it would run, with stand-ins that write down how they were called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "cluster" / "setup.sh"
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
[ "$(basename "$0") $1" != "python3 -m" ] || { mkdir -p "$3/bin"; ln -sf "$0" "$3/bin/pip"; }
[ "$(basename "$0")" != systemctl ]
"""
NAMES = ("apt-get", "sudo", "python3", "systemctl")


@pytest.fixture
def called(tmp_path: Path) -> Path:
    """The file of calls, and beside it a folder of stand-ins."""
    (tmp_path / "bin").mkdir()
    for name in NAMES:
        (tmp_path / "bin" / name).write_text(STAND_IN)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / ".bashrc").write_text("# as it was\n")
    return tmp_path / "calls"


def setup(called: Path, *words: str) -> list[str]:
    home = called.parent
    own = {"CALLS": str(called), "HOME": str(home), "USER": "someone"}
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    subprocess.run([SCRIPT, *words], env={**os.environ, **own, "PATH": path}, check=True)
    # As root or by sudo, which is left out.
    lines = (line.removeprefix("sudo ") for line in called.read_text().splitlines())
    return [line.removeprefix("env DEBIAN_FRONTEND=noninteractive ") for line in lines]


def test_a_node_waits_for_locks_and_takes_the_versions_of_one_file(called: Path) -> None:
    update, install, venv, pip = setup(called, "node", "aws,postgres")
    assert update == "apt-get update -q"
    assert "-o DPkg::Lock::Timeout=600 install" in install
    # What Triton builds with.
    assert {"python3-venv", "python3-dev", "gcc", "nfs-common"} <= set(install.split())
    assert venv == f"python3 -m venv {called.parent}/venv"
    assert pip == f"pip install -q -c {ROOT}/constraints.txt -e {ROOT}[aws,postgres]"
    first, *rest = (called.parent / ".bashrc").read_text().splitlines()
    assert first == "export PATH=~/venv/bin:$PATH RAY_AUTH_MODE=token"
    assert rest == ["# as it was"]
    setup(called, "node", "aws,postgres")
    assert (called.parent / ".bashrc").read_text().splitlines() == [first, *rest]


def test_no_version_is_said_here() -> None:
    text = SCRIPT.read_text()
    assert "==" not in text
    assert "timeout 600 sh -c" in text, "an update waits for the locks, too"


def test_mlflow_listens_on_the_head_alone_and_has_no_password(called: Path) -> None:
    asked, started = setup(called, "mlflow", "/mnt/sweeps/mlflow-artifacts")
    assert asked == "systemctl is-active -q raydt-mlflow"
    assert "--host 127.0.0.1" in started
    assert "postgresql+pg8000://someone@/mlflow?unix_sock=" in started
    assert "--artifacts-destination /mnt/sweeps/mlflow-artifacts" in started


def test_what_it_does_not_know(called: Path) -> None:
    done = subprocess.run([SCRIPT, "nodes"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected packages, python, node, head or mlflow, got 'nodes'" in done.stderr
