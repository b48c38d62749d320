"""`compile` of a recipe: another way to the same numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: torch's compiler changes the one it runs in.
CELLS = """
import torch
from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.loop import Splits, TrainConfig, train
from torch._dynamo.utils import counters
torch.set_num_threads(1)
model = ModelConfig(width=32, num_layers=2, num_heads=1, hidden=64, window_bytes=32)
splits = Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))
for seed, compile in ((0, "off"), (0, "blocks"), (1, "blocks"), (0, "model")):
    recipe = Recipe(budget_bytes="2048", min_steps=8, compile=compile)
    reports = []
    config = TrainConfig(model, recipe, 2_000, seed, evaluations=8, patience=8)
    outcome = train(config, splits, report=reports.append)
    if seed == 0:
        print(*(report.train_loss for report in reports), outcome.test_loss)
    if compile == "blocks":  # one for both blocks, and for both cells
        assert counters["stats"]["unique_graphs"] == 1, counters
"""


@pytest.mark.timeout(900)  # g++ works for half a minute on an idle machine
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_it_gives_the_same_losses_to_rounding(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CELLS],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "TORCHINDUCTOR_VEC_ISA_OK": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    plain, *compiled = ([float(x) for x in line.split()] for line in done.stdout.splitlines())
    assert len(compiled) == 2  # blocks, model
    for losses in compiled:
        assert len(losses) == len(plain) == 9
        # Products in bfloat16 are good to 2^-8, and eight steps carry the differences on.
        assert losses == pytest.approx(plain, rel=1e-3)
        assert losses != plain  # fused kernels round otherwise: it was compiled
