"""Credentials in the URI of a storage are refused, and shown nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raydt.config.sweep import Sweep

ROOT = Path(__file__).parents[2]
URI = "s3://AKIAEXAMPLE:wJalrXUtnFEMI@bucket/prefix"
SWEEP = [str(ROOT / "sweeps" / "grid.py"), "--storage", URI]


@pytest.mark.parametrize(
    "words",
    [SWEEP, [*SWEEP, "--dry-run"], ["-m", "raydt", "status", "--storage", URI]],
    ids=["launch", "plan", "status"],
)
def test_credentials_are_refused_and_not_shown(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    assert "a URI without credentials" in done.stderr
    assert "wJalrXUtnFEMI" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"wJalrXUtnFEMI" in path.read_bytes()]


def test_a_slash_at_the_end_makes_no_other_storage() -> None:
    plain, slash = (Sweep(storage=uri) for uri in ("s3://b/x?region=r", "s3://b/x/?region=r"))
    assert plain.storage == slash.storage
    assert plain.local_storage == slash.local_storage
    assert Sweep(storage="s3://b/y?region=r").local_storage != plain.local_storage
