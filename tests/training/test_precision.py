from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training import precision
from raydt.training.checkpoints.weights import save_weights
from raydt.training.loop import Splits, TrainConfig, train
from raydt.training.precision import cpu_multiplies_bfloat16, is_bfloat16

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("has_it", [False, True])
def test_auto_is_bfloat16_where_the_device_multiplies_in_it(
    has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bfloat16", lambda: has_it)
    assert is_bfloat16("auto", CPU) is has_it
    assert is_bfloat16("auto", GPU)
    for device in (CPU, GPU):
        assert is_bfloat16("bfloat16", device)
        assert not is_bfloat16("float32", device)


def test_the_cpu_is_asked() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    words = set(flags.read_text().split())
    assert cpu_multiplies_bfloat16() == bool({"avx512_bf16", "amx_bf16"} & words)


def test_the_outcome_says_what_it_was_computed_in(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    splits = Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))
    start = tmp_path / "start.safetensors"
    losses = {}
    for name in ("float32", "bfloat16"):
        recipe = Recipe(budget_bytes="2048", min_steps=1, precision=name)
        trained = train(TrainConfig(TINY, recipe, 2_000), splits)
        assert trained.precision == name
        if not start.exists():
            save_weights(trained.weights, start)
        # A zeroshot has no recipe that says it.
        zeroshot = TrainConfig(TINY, None, 0, precision=name)
        evaluated = train(zeroshot, splits, initial_weights=start)
        assert evaluated.precision == name
        losses[name] = evaluated.test_loss
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=1e-3)
    assert losses["bfloat16"] != losses["float32"]
