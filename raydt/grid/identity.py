"""The fingerprint of a cell: all that decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage

# Raised when a change of code changes the numbers that a cell ends with.
NUMERICS_VERSION = 1


def fingerprint(cell: Cell, sweep: Sweep, data_digest: str, parent: str | None) -> str:
    """64 hex digits.

    `data_digest` is of the bytes that the cell reads, `parent` the fingerprint of the cell it
    starts from. Neither hardware nor paths nor names enter: a language may be renamed and a sweep
    moved, and its cells stay what they are.
    """
    protocol = sweep.protocol
    recipe = None
    if cell.stage is not Stage.ZEROSHOT:
        recipe = protocol.recipe(cell.stage).model_dump(mode="json")
    identity = {
        "numerics": NUMERICS_VERSION,
        "stage": cell.stage,
        "model": MODELS[cell.model].model_dump(mode="json"),
        "recipe": recipe,
        "evaluations": protocol.evaluations,
        "patience": protocol.patience,
        "size_bytes": cell.size.num_bytes,
        "data": data_digest,
        "seed": cell.seed,
        "parent": parent,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
