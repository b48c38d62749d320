"""When a model is compiled, and what of it."""

from __future__ import annotations

import torch

from raydt.config.recipe import Recipe
from raydt.training.config import TrainConfig

# A cell whose training takes more floating-point operations than these is worth the compiler's
# time: 20 to 30 s of a process, the first time that a machine meets a shape. They are about a
# minute of what a large GPU reaches without it.
WORTH_COMPILING_FLOPS = 1e16
_LIKELY_EPOCHS = 10


def compiles(recipe: Recipe, config: TrainConfig, device: torch.device) -> bool:
    """Whether the blocks of a model are compiled for this cell.

    `auto`: on a GPU, for cells that train for a minute or more without. How many bytes a cell sees
    that ends by itself is not known beforehand; ten epochs are usual.
    """
    if recipe.compile != "auto":
        return recipe.compile == "on"
    if device.type != "cuda":
        return False
    seen_bytes = min(recipe.budget(config.size_bytes), _LIKELY_EPOCHS * config.size_bytes)
    return seen_bytes * config.model.training_flops_per_byte > WORTH_COMPILING_FLOPS
