"""Cells that are shorter than the start of a process, in a real Tune."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.short_trials import NUM_SLOTS
from tests.integration.tiny import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.parametrize("at_a_time", [NUM_SLOTS, NUM_SLOTS + 5], ids=["none waits", "some wait"])
def test_every_slot_gets_a_process_though_the_first_could_do_it_all(
    tmp_path: Path, at_a_time: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.short_trials", str(tmp_path), str(at_a_time)],
        cwd=ROOT,
        env={**os.environ, "RAY_ADDRESS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.iterdir())) >= NUM_SLOTS
