"""A small grid, from the command to the report: real Ray, a real SQLite store, analyze.

`make test` runs this one; what kills, clusters and servers do to a grid is in `tests/integration`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raydt.commands.next_pairs import planned_next
from raydt.terminal.status import find_sweep
from tests.integration.tiny import NUM_CELLS, finished, grid, one_run_per_cell, results


def raydt(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "raydt", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_a_grid_is_trained_recorded_and_analyzed(tmp_path: Path) -> None:
    code, out, err = finished(grid(tmp_path, "--keep-weights", "all"))
    assert code == 0, err
    assert f"{NUM_CELLS} of {NUM_CELLS} cells done" in out
    done = results(tmp_path)
    assert one_run_per_cell(tmp_path) == {name: cell["test_loss"] for name, cell in done.items()}

    rows = [
        line.split() for line in raydt(tmp_path, "status", "tiny", "--storage", ".").splitlines()
    ]
    counted = {row[0]: row[2] for row in rows if len(row) == 7 and row[0] != "stage"}
    assert counted.pop("joint") == "·"
    assert counted == {"pretrain": "2", "scratch": "2", "finetune": "4", "zeroshot": "2"}
    probed = raydt(tmp_path, "probe", "[!p]*", "--storage", ".")
    assert sum(" ± " in line for line in probed.splitlines()) == NUM_CELLS - 2
    analyzed = raydt(tmp_path, "analyze", "tiny", "--storage", ".")
    assert "D_T" in analyzed
    assert "By 1000 minimal pairs, into alba" in analyzed
    assert "related" in analyzed
    assert (tmp_path / "tiny" / "report" / "report.html").exists()

    # What would be measured next, were there another target: known from the ledger and the store.
    sweep = find_sweep(str(tmp_path), "tiny")
    assert planned_next(sweep, 1).pairs == []
    grown = sweep.model_copy(update={"targets": (*sweep.targets, "brio")})
    chosen = planned_next(grown, 9)
    assert {one.target for one in chosen.pairs} == {"brio"}
    assert chosen.num_missing == len(chosen.pairs) == len(sweep.sources)
    # The first pays brio's ladder, no pretrain any more; the others their finetunes alone.
    assert all(0 < one.flops < chosen.pairs[0].flops for one in chosen.pairs[1:])
