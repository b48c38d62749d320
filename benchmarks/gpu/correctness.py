"""Small cells of both families, trained on the CPU and through every code path on the GPU."""

from __future__ import annotations

import numpy as np
import torch

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.loop import Outcome, Splits, TrainConfig, train

SIZE_BYTES = 20_000
REDUCED_BYTES = 4_000
# Of rates that do not blow rounding up, and few steps: what differs is the arithmetic.
RECIPE = Recipe(
    learning_rate=1e-3,
    embedding_learning_rate=1e-3,
    epochs="8",
    max_batch_windows=8,
    average="power",
)
# Of losses of some 3 nats. Products in bfloat16 are good to 2^-8.
TOLERANCE = {"float32": 2e-4, "bfloat16": 1e-2}


def trained(
    name: str, device: torch.device, size_bytes: int = SIZE_BYTES, **changes: object
) -> Outcome:
    """A cell of `size_bytes` by the recipe with its changes."""
    recipe = RECIPE.model_copy(update=changes)
    splits = Splits(*(generate("alba", split, size_bytes, 0) for split in ("train", "val", "test")))
    config = TrainConfig(MODELS[name], recipe, size_bytes, evaluations=2)
    return train(config, splits, device=device)


def correctness(
    names: tuple[str, ...], device: torch.device, size_bytes: int = SIZE_BYTES
) -> list[dict[str, object]]:
    """Test losses on the CPU in float32 and the difference of each path on `device`."""
    rows: list[dict[str, object]] = []
    for name in names:
        reference = trained(name, torch.device("cpu"), size_bytes, precision="float32").test_loss
        assert reference is not None
        for precision in ("float32", "bfloat16"):
            for compile in ("off", "blocks") if device.type == "cuda" else ("off",):
                loss = trained(
                    name, device, size_bytes, precision=precision, compile=compile
                ).test_loss
                assert loss is not None
                rows.append(
                    {
                        "model": name,
                        "precision": precision,
                        "compile": compile,
                        "loss": loss,
                        "difference": loss - reference,
                        "holds": abs(loss - reference) <= TOLERANCE[precision],
                    }
                )
        twice = [
            trained(name, device, size_bytes, deterministic=True, compile="off") for _ in range(2)
        ]
        same = all(
            torch.equal(twice[0].weights[key], twice[1].weights[key]) for key in twice[0].weights
        )
        rows.append(
            {
                "model": name,
                "precision": "auto",
                "compile": "off, deterministic twice",
                "loss": twice[0].test_loss,
                "difference": float(np.subtract(twice[0].test_loss, twice[1].test_loss)),
                "holds": same,
            }
        )
    return rows
