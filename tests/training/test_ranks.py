"""Two processes compute what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import InputError
from raydt.training.loop import Ranks, Splits, TrainConfig, train


@pytest.mark.parametrize("unseen_bytes", ["train", "escape"])
def test_two_ranks_train_as_one(unseen_bytes: str, tmp_path: Path, root: Path) -> None:
    program = root / "tests" / "training" / "ranked_cell.py"
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), unseen_bytes],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    alone, first, second = (load_file(tmp_path / f"{n}.safetensors") for n in ("1-0", "2-0", "2-1"))
    for name in alone:
        # Between ranks to the bit, to one process up to the order of sums.
        assert torch.equal(first[name], second[name])
        assert (first[name] - alone[name]).norm() <= 1e-5 * max(1.0, alone[name].norm().item())
    one, two, other = (
        json.loads((tmp_path / f"{n}.json").read_text()) for n in ("1-0", "2-0", "2-1")
    )
    # Only the first reports; all end with the same numbers.
    assert other["val_losses"] == []
    assert {**two, "val_losses": [], "train_losses": []} == other
    assert len(two["val_losses"]) == 4
    for key in ("test_loss", "stderr", "best_val_loss", "bytes_seen", "val_losses", "train_losses"):
        assert two[key] == pytest.approx(one[key], rel=1e-5)
    written = [path.name for path in (tmp_path / "checkpoints-2").iterdir()]
    assert len(written) == 4


def test_a_batch_that_ranks_cannot_share_is_refused_with_a_size_that_they_can() -> None:
    data = generate("alba", "train", 2_000, 0)
    splits = Splits(data, data, data)
    recipe = Recipe(max_batch_windows=7, min_steps=1)
    with pytest.raises(InputError, match=r"multiple of the 2 ranks, such as 6, got 7"):
        train(TrainConfig(MODELS["nano"], recipe, 2_000), splits, ranks=Ranks(0, 2))
