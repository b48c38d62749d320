"""The declared sweeps: each can be planned, and docs/sweeps.md says what each costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GRID = ROOT / "sweeps" / "grid.py"
DECLARED = sorted((ROOT / "sweeps").glob("*.toml"))


def plan(sweep: Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, GRID, "--sweep", sweep, "--slots", "2", "--dry-run"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "a plan writes nothing"
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("sweep", DECLARED, ids=lambda path: path.stem)
def test_a_declared_sweep_has_its_cost_in_the_docs(sweep: Path, tmp_path: Path) -> None:
    shown = plan(sweep, tmp_path)
    totals = re.search(
        r"(\d+) to do: about \S+ bytes seen, (\S+) FLOPs, (.+?) with 2 at a time, or (\S+) "
        r"GPU-hours",
        shown,
    )
    assert totals is not None, shown
    cells, flops, duration, gpu_hours = totals.groups()
    on_gpus = "gpus_per_cell" in sweep.read_text()
    page = (ROOT / "docs" / "sweeps.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{sweep.stem}` "))
    columns = [column.strip() for column in row.strip("|").split("|")]
    assert columns[2:] == [cells, flops, f"{gpu_hours} GPU-hours" if on_gpus else duration]


def test_all_that_the_issue_names_are_declared() -> None:
    names = {path.stem for path in DECLARED}
    assert names >= {"paper", "matched", "pt_es", "synthetic", "smoke"}
