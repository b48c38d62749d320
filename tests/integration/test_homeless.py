"""A grid of a user id that nobody knows: no HOME, a long TMPDIR, a Ray folder of somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tiny import ROOT, TINY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

UNKNOWN = "54321"
# It reads what root reads, as this checkout may lie there, and writes where anybody may.
AS_NOBODY = (
    f"setpriv --reuid {UNKNOWN} --regid {UNKNOWN} --clear-groups "
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "
    "--bounding-set=-all,+dac_read_search"
).split()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not there")
def test_a_user_that_nobody_knows(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    storage, long = tmp_path / "runs", tmp_path / ("x" * 90)
    for folder in (storage, long):
        folder.mkdir()
        folder.chmod(0o777)
    (long / "ray").mkdir(mode=0o700)  # root's
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(long)}
    for words in (["run", *TINY], ["analyze"]):
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-B", "-m", "raydt", *words, "--storage", str(storage)],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert (storage / "tiny" / "report" / "report.html").exists()
