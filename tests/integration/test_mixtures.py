"""Mixtures and joint cells in a sweep that is killed and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.corpora.prepared.manifest import read_manifest
from tests.integration.tiny import finished, grid, one_run_per_cell, results, wait_for

WORDS = "--sources alba alba*0.75+brio*0.25 --targets related --sizes 2k --slots 1 --joint".split()
MIXTURE = "alba*0.75+brio*0.25"
CELLS = {
    "scratch/related/2k/nano/s0",
    *(f"pretrain/{source}/20k/nano/s0" for source in ("alba", MIXTURE)),
    *(f"zeroshot/{source}-related/0/nano/s0" for source in ("alba", MIXTURE)),
    *(f"finetune/{source}-related/2k/nano/s0" for source in ("alba", MIXTURE)),
    *(f"joint/{source}-related/2k/nano/s0" for source in ("alba", MIXTURE)),
}


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_sweep_with_mixtures_and_joint_cells_resumes(tmp_path: Path) -> None:
    first = grid(tmp_path, *WORDS)
    wait_for(lambda: len(results(tmp_path)) >= 3, first)
    first.kill()
    first.communicate()
    before = results(tmp_path)
    assert len(before) < len(CELLS)
    code, _, err = finished(grid(tmp_path, *WORDS))
    assert code == 0, err
    after = results(tmp_path)
    assert after.keys() == CELLS
    assert {cell_id: after[cell_id] for cell_id in before} == before
    assert one_run_per_cell(tmp_path).keys() == CELLS
    (prepared,) = (tmp_path / "corpora").glob(f"*/{MIXTURE.replace('*', '[*]')}")
    taken = {part.language: part.num_bytes["train"] for part in read_manifest(prepared).parts or ()}
    assert taken["alba"] / sum(taken.values()) == pytest.approx(0.75, abs=0.02)
    # Another launch makes the same of the same text.
    code, out, err = finished(grid(tmp_path, *WORDS))
    assert code == 0, err
    assert "Nothing to train" in out + err
    grids = json.loads((tmp_path / "tiny" / "grids.json").read_text())
    assert [axes["joint"] for axes in grids] == [True]
