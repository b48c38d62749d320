"""What of a model torch's compiler works on, and how long it takes."""

from __future__ import annotations

from typing import Literal

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe

# Floating-point operations of a cell's training from which on a compiler's time is won back:
# a block takes it 10 to 20 s and makes training two to three times as fast, a model of ten blocks
# a minute or two for another tenth (docs/gpu.md). The first are half a minute of a large GPU.
BLOCKS_PAY_FLOPS = 5e15
MODEL_PAYS_FLOPS = 1e18
_LIKELY_EPOCHS = 10

What = Literal["off", "blocks", "model"]
# Of one model in one process: measured on an H200 for blocks (9 s in family `default`, 20 in
# `paper`), and for whole models of four blocks (26 s).
COMPILE_SECONDS: dict[What, float] = {"off": 0.0, "blocks": 15.0, "model": 60.0}


def what_compiles(recipe: Recipe, size_bytes: int, model: ModelConfig, on_gpu: bool) -> What:
    """What of `model` is compiled for a cell that trains on `size_bytes`.

    How many bytes a cell sees that ends by itself is not known beforehand; ten epochs are usual.
    """
    if recipe.compile != "auto":
        return recipe.compile
    if not on_gpu:
        return "off"
    seen_bytes = min(recipe.budget(size_bytes), _LIKELY_EPOCHS * size_bytes)
    flops = seen_bytes * model.training_flops_per_byte
    # Family `paper` was not measured whole.
    if flops > MODEL_PAYS_FLOPS and model.family == "default":
        return "model"
    return "blocks" if flops > BLOCKS_PAY_FLOPS else "off"
