"""What the driver sends to a trial: a cell with all it needs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.corpora.prepared import PreparedLanguage
from raydt.grid.cell import Cell
from raydt.grid.identity import fingerprint
from raydt.grid.journal import WEIGHTS
from raydt.grid.ledger import cell_folder
from raydt.tracking import schema
from raydt.tracking.schema import Stage


def data_language(cell: Cell) -> str:
    """The language whose bytes the cell reads."""
    language = cell.source if cell.stage is Stage.PRETRAIN else cell.target
    assert language is not None
    return language


def build_tasks(
    cells: list[Cell], sweep: Sweep, languages: Mapping[str, PreparedLanguage]
) -> dict[str, dict[str, Any]]:
    """A task per cell, by cell id. `cells` has parents before children."""
    protocol = sweep.protocol
    val_bytes, test_bytes = protocol.val_bytes.num_bytes, protocol.test_bytes.num_bytes
    digests: dict[tuple[str, int], str] = {}
    tasks: dict[str, dict[str, Any]] = {}
    for cell in cells:
        language = languages[data_language(cell)]
        key = (language.name, cell.size.num_bytes)
        if key not in digests:
            digests[key] = language.digest(cell.size.num_bytes, val_bytes, test_bytes)
        parent = tasks[cell.parent_id]["fingerprint"] if cell.parent_id else None
        recipe = None
        if cell.stage is not Stage.ZEROSHOT:
            recipe = protocol.recipe(cell.stage).model_dump(mode="json")
        tasks[cell.cell_id] = {
            "cell_id": cell.cell_id,
            "folder": str(cell_folder(sweep, cell.cell_id)),
            "fingerprint": fingerprint(cell, sweep, digests[key], parent),
            "model": cell.model,
            "recipe": recipe,
            "size_bytes": cell.size.num_bytes,
            "seed": cell.seed,
            "evaluations": protocol.evaluations,
            "patience": protocol.patience,
            "test_stride_bytes": protocol.test_stride_bytes,
            "language_folder": str(language.folder),
            "val_bytes": val_bytes,
            "test_bytes": test_bytes,
            "initial_weights": (
                str(cell_folder(sweep, cell.parent_id) / WEIGHTS) if cell.parent_id else None
            ),
        }
    return tasks


def cell_facts(cell: Cell, sweep: Sweep, task: Mapping[str, Any]) -> dict[str, Any]:
    """The cell's params and tags, by their names in the schema."""
    model = MODELS[cell.model]
    facts: dict[str, Any] = {
        schema.PARAM_STAGE: cell.stage,
        schema.PARAM_SOURCE: cell.source,
        schema.PARAM_TARGET: cell.target,
        schema.PARAM_SIZE: cell.size.label,
        schema.PARAM_SIZE_BYTES: cell.size.num_bytes,
        schema.PARAM_SEED: cell.seed,
        schema.PARAM_MODEL: cell.model,
        schema.PARAM_NUM_PARAMETERS: model.num_parameters,
        schema.TAG_CELL_ID: cell.cell_id,
        schema.TAG_FINGERPRINT: task["fingerprint"],
    }
    if cell.parent_id is not None:
        facts[schema.TAG_PARENT_CELL] = cell.parent_id
    if cell.stage is not Stage.ZEROSHOT:
        recipe = sweep.protocol.recipe(cell.stage)
        facts |= {
            schema.PARAM_LEARNING_RATE: recipe.learning_rate,
            schema.PARAM_BATCH_WINDOWS: recipe.batch_windows(
                cell.size.num_bytes, model.window_bytes
            ),
            schema.PARAM_BUDGET_BYTES: recipe.budget(cell.size.num_bytes),
        }
    return facts
