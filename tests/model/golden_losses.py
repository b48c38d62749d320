"""The first ten training losses of each family on bytes made by a formula, in nats per byte.

    python tests/model/golden_losses.py

writes them anew, which is right only when a change of the numbers is meant: then raise
`NUMERICS_VERSION` in raydt/grid/identity.py too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.model.families import new_decoder
from raydt.training.optimizer.combined import Optimizer

FOLDER = Path(__file__).parent / "golden"
NUM_STEPS, BATCH_WINDOWS = 10, 4
# The documents are shorter than a window, so that the mask has something to hide.
CASES = {
    "default": ("nano", Recipe(), 0.0, False),
    "default-masked": ("nano", Recipe(), 0.0, True),
    "paper": ("paper-nano", Recipe(learning_rate=2e-3, weight_decay=0.1), 1e-4, False),
    "paper-masked": ("paper-nano", Recipe(learning_rate=2e-3, weight_decay=0.1), 1e-4, True),
}


def synthetic_bytes(num_bytes: int) -> NDArray[np.int64]:
    """Words of a small lexicon by a linear congruence, documents of 90 bytes; (num_bytes,)."""
    state, out = 1, bytearray()
    while len(out) < num_bytes:
        state = (1103515245 * state + 12345) % 2**31
        word = state >> 16 & 63
        out += bytes(97 + (word * place + 5 * place) % 26 for place in range(1, 3 + word % 5))
        out += b"\0" if len(out) % 90 > 80 else b" "
    return np.frombuffer(bytes(out[:num_bytes]), np.uint8).astype(np.int64)


def losses(case: str) -> list[float]:
    """Ten losses of a case, on one thread."""
    name, recipe, z_loss, mask_documents = CASES[case]
    config = MODELS[name].model_copy(update={"mask_documents": mask_documents, "num_layers": 2})
    window = config.window_bytes
    data = torch.from_numpy(synthetic_bytes(NUM_STEPS * BATCH_WINDOWS * window + 1))
    x_NT, y_NT = data[:-1].view(-1, window), data[1:].view(-1, window)
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_decoder(config)
    optimizer = Optimizer(model, recipe, NUM_STEPS)
    for step in range(NUM_STEPS):
        rows = slice(step * BATCH_WINDOWS, (step + 1) * BATCH_WINDOWS)
        loss = model.loss(x_NT[rows], y_NT[rows], z_loss=z_loss)
        loss.backward()
        optimizer.step(step)
        found.append(loss.item())
    return found


def main() -> None:
    torch.set_num_threads(1)
    for case in CASES:
        rounded = [round(loss, 6) for loss in losses(case)]
        (FOLDER / f"{case}.json").write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
