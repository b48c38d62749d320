"""A second grid from the pretrain of a first, exported or in place: the same numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raydt.export.cells import export_cells
from raydt.grid.build import build_grid
from raydt.terminal.status import find_sweep
from tests.integration.tiny import ROOT

SMALL = (
    "--targets alba --sizes 2k --seeds 0 --protocol.pretrain.epochs 1 --protocol.scratch.epochs 3 "
    "--protocol.finetune.epochs 3 --protocol.val-bytes 2k --protocol.test-bytes 4k --slots 1"
).split()
PRETRAIN = "pretrain/related/20k/nano/s0"


def grid(storage: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "sweeps" / "grid.py")
    given = [*SMALL, "--storage", str(storage), "--name", name, *words]
    return subprocess.run([sys.executable, script, *given], capture_output=True, text=True)


def results(storage: Path, name: str) -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in (storage / name).rglob("result.json")]
    return {result["cell_id"]: result for result in found}


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_grid_from_a_checkpoint_has_the_numbers_of_the_grid_it_came_from(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    done = grid(storage, "first", "--sources", "related", "--pretrain-size", "20k")
    assert done.returncode == 0, done.stderr
    sweep = find_sweep(str(storage), "first")
    (pretrain,) = [cell for cell in build_grid(sweep) if cell.cell_id == PRETRAIN]
    exported = export_cells(sweep, [pretrain], tmp_path / "model")[PRETRAIN]
    sources = ["--sources", f"a=ckpt:{exported}", f"b=cell:first/{PRETRAIN}"]
    done = grid(storage, "second", *sources)
    assert done.returncode == 0, done.stderr
    first, second = results(storage, "first"), results(storage, "second")
    assert second.keys() == {
        "scratch/alba/2k/nano/s0",
        *(f"finetune/{label}-alba/2k/nano/s0" for label in "ab"),
        *(f"zeroshot/{label}-alba/0/nano/s0" for label in "ab"),
    }
    measured = ("test_loss", "best_val_loss", "bytes_seen", "unseen_share")
    for cell_id, result in second.items():
        there = first[re.sub("/[ab]-alba", "/related-alba", cell_id)]
        assert [result.get(name) for name in measured] == [there.get(name) for name in measured]
    # Its weights are in the fingerprint, and nothing of where they were found.
    for kind in ("finetune/{}-alba/2k/nano/s0", "zeroshot/{}-alba/0/nano/s0"):
        a, b = (second[kind.format(label)]["fingerprint"] for label in "ab")
        assert a == b
    analyzed = subprocess.run(
        [sys.executable, "-m", "raydt", "analyze", "second", "--storage", str(storage)],
        capture_output=True,
        text=True,
    )
    assert analyzed.returncode == 0, analyzed.stderr
    # Other weights in the same place are not taken for those that were exported.
    weights = exported / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused = grid(storage, "third", "--sources", f"ckpt:{exported}")
    assert refused.returncode == 2
    assert "the weights that were exported" in refused.stderr
