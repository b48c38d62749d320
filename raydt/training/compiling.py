"""When a model is compiled, and what of it."""

from __future__ import annotations

from typing import Literal

import torch

from raydt.config.recipe import Recipe
from raydt.training.config import TrainConfig

# Floating-point operations of a cell's training from which on a compiler's time is won back:
# a block takes it 10 to 20 s and makes training twice as fast, a model of ten blocks a minute or
# two for another tenth (docs/gpu.md). The first are half a minute of a large GPU without it.
BLOCKS_PAY_FLOPS = 5e15
MODEL_PAYS_FLOPS = 1e18
_LIKELY_EPOCHS = 10


def what_compiles(
    recipe: Recipe, config: TrainConfig, device: torch.device
) -> Literal["off", "blocks", "model"]:
    """What of a model is compiled for this cell.

    How many bytes a cell sees that ends by itself is not known beforehand; ten epochs are usual.
    """
    if recipe.compile != "auto":
        return recipe.compile
    if device.type != "cuda":
        return "off"
    seen_bytes = min(recipe.budget(config.size_bytes), _LIKELY_EPOCHS * config.size_bytes)
    flops = seen_bytes * config.model.training_flops_per_byte
    # Family `paper` was not measured whole.
    if flops > MODEL_PAYS_FLOPS and config.model.family == "default":
        return "model"
    return "blocks" if flops > BLOCKS_PAY_FLOPS else "off"
