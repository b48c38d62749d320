"""Which parts of a model are compiled by torch.compile, and how long that takes."""

from __future__ import annotations

from typing import Literal

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe

# FLOPs of a cell's training above which compiling pays off. Compiling a block takes 10 to 20 s and
# makes training two to three times as fast; compiling a whole model of ten blocks takes a minute or
# two and gains another tenth (docs/gpu.md). 5e15 FLOPs are half a minute on a large GPU.
BLOCKS_PAY_FLOPS = 5e15
MODEL_PAYS_FLOPS = 1e18
_LIKELY_EPOCHS = 10

What = Literal["off", "blocks", "model"]
# Per model and process, measured on an H200: blocks (9 s in family `default`, 20 s in `paper`) and
# whole models of four blocks (26 s).
COMPILE_SECONDS: dict[What, float] = {"off": 0.0, "blocks": 15.0, "model": 60.0}


def what_compiles(recipe: Recipe, size_bytes: int, model: ModelConfig, on_gpu: bool) -> What:
    """The part of `model` that is compiled for a cell that trains on `size_bytes`.

    A cell that stops when it has converged sees an unknown number of bytes; ten epochs are typical.
    """
    if recipe.compile != "auto":
        return recipe.compile
    if not on_gpu:
        return "off"
    seen_bytes = min(recipe.budget(size_bytes), _LIKELY_EPOCHS * size_bytes)
    flops = seen_bytes * model.training_flops_per_byte
    # Compiling whole models of family `paper` was not measured.
    if flops > MODEL_PAYS_FLOPS and model.family == "default":
        return "model"
    return "blocks" if flops > BLOCKS_PAY_FLOPS else "off"
