"""What is known to be wrong before a cluster is asked, and clusters that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def raydt(cwd: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | variables
    return subprocess.run(
        [sys.executable, "-m", "raydt", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["--storage: expected an absolute path", "'runs'"]),
        (["--storage", "runs/here"], ["--storage: expected an absolute path"]),
        (["--storage", "~/runs"], ["--storage: expected an absolute path"]),
        (["--storage", "/s", "--souces", "related"], ["--souces", "did you mean --sources?"]),
        (["--storage", "/s", "--corpus", "files:texts"], ["corpus: expected an absolute path"]),
        (["--storage", "/s", "--sweep", "/elsewhere.toml"], ["/elsewhere.toml"]),
        (["--storage", "/s", "--tracking-uri", "http://me:s3cret@h"], ["no password"]),
        (["--storage", "/s", "--tracking-uri", "sqlite:///x.db"], ["tracking_uri"]),
    ],
    ids=" ".join,
)
def test_what_does_not_travel_is_said_before_submitting(
    words: list[str], expected: list[str]
) -> None:
    done = raydt(ROOT, "submit", "sweeps/grid.py", "--", *words)
    assert done.returncode == 2, done.stderr
    for text in expected:
        assert text in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["sweeps/absent.py", "/etc/hostname"])
def test_a_script_that_is_not_here(script: str) -> None:
    done = raydt(ROOT, "submit", script, "--", "--storage", "/s")
    assert done.returncode == 2
    assert script in done.stderr


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "auto", "127.0.0.1:1", "ray://127.0.0.1:1", "nonsense://"]
)
def test_no_cluster_at_the_address(address: str, tmp_path: Path) -> None:
    done = raydt(tmp_path, "jobs", RAY_ADDRESS=address, HOME=str(tmp_path))
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert "cluster" in done.stderr
    assert address in done.stderr


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_a_launch_where_no_cluster_is(address: str, tmp_path: Path) -> None:
    words = ("run", "--sizes", "2k", "--storage", str(tmp_path), "--seeds", "0")
    done = raydt(tmp_path, *words, RAY_ADDRESS=address, HOME=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "RAY_ADDRESS" in done.stderr
    assert address in done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_takes_no_other_options(tmp_path: Path) -> None:
    done = raydt(tmp_path, "run", "--recorded", str(tmp_path), "--sizes", "8k")
    assert done.returncode == 2
    assert "no other option" in done.stderr
    done = raydt(tmp_path, "run", "--recorded", str(tmp_path))
    assert done.returncode == 2
    assert "sweep.json" in done.stderr
