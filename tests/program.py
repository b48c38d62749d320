"""Programs that a test runs to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def output_of(words: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    """What a program prints that ends well, run in a folder."""
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout
