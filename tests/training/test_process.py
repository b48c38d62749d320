from __future__ import annotations

import subprocess
import sys

# In a process of its own: what is set up is set up for good. torch fills arrays without values with
# NaN, if it is told to.
TRAINED = """
import sys, torch
from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.loop import Splits, TrainConfig, train
from raydt.training.process import set_up_process
set_up_process(1)
assert torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1
assert not torch.utils.deterministic.fill_uninitialized_memory
splits = Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))
for family, conv_bytes in (("default", 4), ("paper", 1)):
    model = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=150,
                        family=family, conv_bytes=conv_bytes)
    for precision in ("float32", "bfloat16"):
        ends = []
        for fill in (False, True):
            torch.utils.deterministic.fill_uninitialized_memory = fill
            recipe = Recipe(budget_bytes="4k", min_steps=4, precision=precision)
            ends.append(train(TrainConfig(model, recipe, 2_000, evaluations=2), splits))
        a, b = ends
        assert a.test_loss == b.test_loss and a.status == "done"
        assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
        print(family, precision, a.test_loss)
"""


def test_nothing_is_read_before_it_is_written() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
