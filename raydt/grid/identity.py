"""The fingerprint of a cell: everything that decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json

from raydt.config.recipe import decisive_fields
from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage

# Increased when a change of the code changes the results of cells.
# 2: a finetune may keep its initial weights, if training only makes them worse.
# 3: bfloat16 on CPUs that support it, and Muon of small matrices in float32 everywhere.
# 4: test windows that overlap by half; the end of a cell depends on four numbers.
NUMERICS_VERSION = 4

# The fields of a model when the first fingerprints were made.
_FIRST_MODEL_FIELDS = frozenset("width num_layers num_heads hidden window_bytes conv_bytes".split())


def fingerprint(cell: Cell, sweep: Sweep, data_digest: str, parent: str | None) -> str:
    """The fingerprint, 64 hex digits.

    `data_digest` is the digest of the bytes that the cell reads, `parent` the fingerprint of its
    parent. Hardware, paths and names are not part of it: renaming a language or moving a sweep does
    not change it.
    """
    protocol = sweep.protocol
    recipe = None
    if cell.stage is not Stage.ZEROSHOT:
        recipe = protocol.recipe(cell.stage).identity()
    identity: dict[str, object] = {
        "numerics": NUMERICS_VERSION,
        "stage": cell.stage,
        "model": decisive_fields(sweep.model(cell.model), _FIRST_MODEL_FIELDS),
        "recipe": recipe,
        "evaluation_growth": protocol.evaluation_growth,
        "evaluations": protocol.evaluations,
        "tolerance": protocol.tolerance,
        "patience": protocol.patience,
        "size_bytes": cell.train_bytes,
        "data": data_digest,
        "seed": cell.seed,
        "test_stride_bytes": protocol.test_stride(sweep.model(cell.model).window_bytes),
        "parent": parent,
    }
    mixture = sweep.mixtures.get(cell.source or "") if cell.stage is Stage.PRETRAIN else None
    if mixture is not None:
        identity["shares"] = sorted(str(share) for _, share in mixture.shares)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
