from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from raydt.training.optimizer.adamw import AdamW

# A whole cell, in a process of its own.
CELL = """
import sys, torch
from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.loop import Splits, TrainConfig, train
torch.set_num_threads(1)
data = generate("alba", "train", 2_000, 0)
recipe = Recipe(budget_bytes="2560", min_steps=1)
outcome = train(TrainConfig(MODELS["nano"], recipe, 2_000), Splits(data, data, data))
assert outcome.test_loss is not None
print(sorted(name for name in sys.modules if name in ("torch._dynamo", "torch._inductor")))
"""


@pytest.mark.parametrize("num_without_gradient", [0, 1])
def test_it_steps_as_torchs_own_does(num_without_gradient: int) -> None:
    torch.manual_seed(0)
    theirs = [torch.nn.Parameter(torch.randn(shape)) for shape in [(24, 8), (8,), (3, 5)]]
    ours = [torch.nn.Parameter(parameter.detach().clone()) for parameter in theirs]
    reference = torch.optim.AdamW(theirs, lr=1.0, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    optimizer = AdamW(ours, (0.9, 0.95), weight_decay=0.1)
    for step in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        if step == 2:
            for parameter in [*ours[:num_without_gradient], *theirs[:num_without_gradient]]:
                parameter.grad = None
        reference.param_groups[0]["lr"] = 0.01 * (step + 1)
        reference.step()
        optimizer.set_rate(0.01 * (step + 1))
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
        assert optimizer.state[a].keys() == reference.state[b].keys()
        for quantity, tensor in optimizer.state[a].items():
            torch.testing.assert_close(tensor, reference.state[b][quantity], rtol=1e-6, atol=0)


def test_a_cell_does_not_load_torchs_compiler(root: Path) -> None:
    """That would take a second of each process, and of a small cell more than its training."""
    done = subprocess.run(
        [sys.executable, "-c", CELL],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
