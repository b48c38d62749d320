"""The learning rate over the steps of a cell, as a fraction of its peak."""

from __future__ import annotations

import math

from raydt.config.recipe import Recipe


def schedule_factor(step: int, num_steps: int, recipe: Recipe) -> float:
    """Factor of the peak at `step`, counted from 0.

    Linear warm-up over `recipe.warmup_steps`, but at most a tenth of the steps, so that short cells
    are not all warm-up. Then `cosine` decays to the final fraction, `constant` stays, and `wsd`
    stays until the last `decay_fraction` of the steps, where it decays as 1 - sqrt, the best shape
    in Hägele et al. 2024 (arXiv 2405.18392).
    """
    warmup = min(recipe.warmup_steps, num_steps // 10)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    final = recipe.final_learning_rate_fraction
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "wsd":
        decay = min(num_steps - warmup, max(1, round(recipe.decay_fraction * num_steps)))
        progress = max(0, step - (num_steps - decay)) / decay
        return 1 - (1 - final) * math.sqrt(progress)
    progress = (step - warmup) / max(1, num_steps - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
