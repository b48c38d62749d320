"""The params, tags and plan that MLflow records for cells and launches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.ledger import Ledger, cell_folder
from raydt.storage.folder import Folder
from raydt.tracking import schema
from raydt.tracking.logged_models import ModelOf
from raydt.tracking.schema import PLAN_FIELDS, Stage


def cell_facts(
    cell: Cell, sweep: Sweep, fingerprint: str, added_for: str | None = None
) -> dict[str, object]:
    """The params and tags of a cell, by their names in the schema. `added_for` is why a refinement
    added it."""
    model = sweep.model(cell.model)
    facts: dict[str, object] = {
        schema.PARAM_STAGE: cell.stage,
        schema.PARAM_SOURCE: cell.source,
        schema.PARAM_TARGET: cell.target,
        schema.PARAM_SIZE: cell.size.label,
        schema.PARAM_SIZE_BYTES: cell.size.num_bytes,
        schema.PARAM_SEED: cell.seed,
        schema.PARAM_MODEL: cell.model,
        schema.PARAM_NUM_PARAMETERS: model.num_parameters,
        schema.PARAM_FLOPS_PER_BYTE: model.training_flops_per_byte,
        schema.TAG_CELL_ID: cell.cell_id,
        schema.TAG_FINGERPRINT: fingerprint,
    }
    if cell.parent_id is not None:
        facts[schema.TAG_PARENT_CELL] = cell.parent_id
    elif cell.source in sweep.checkpoints:
        facts[schema.TAG_CHECKPOINT] = sweep.checkpoints[cell.source]
    if cell.source in sweep.mixtures:
        shares = {name: float(share) for name, share in sweep.mixtures[cell.source].shares}
        facts[schema.TAG_MIXTURE] = json.dumps(shares)
    if added_for is not None:
        facts[schema.TAG_ADDED_FOR] = added_for
    if cell.stage is not Stage.ZEROSHOT:
        recipe = sweep.protocol.recipe(cell.stage)
        facts |= {
            schema.PARAM_LEARNING_RATE: recipe.for_size(cell.train_bytes).learning_rate,
            schema.PARAM_BATCH_WINDOWS: recipe.batch_windows(cell.train_bytes, model.window_bytes),
            schema.PARAM_BUDGET_BYTES: recipe.budget(cell.train_bytes),
        }
    return facts


def model_of(cell: Cell, sweep: Sweep) -> ModelOf | None:
    """The cell's model to log to MLflow; None if it is not logged."""
    if not sweep.logs_model(cell.stage):
        return None
    return ModelOf(cell.cell_id, sweep.model(cell.model).model_dump(mode="json"))


def parent_folder(cell: Cell, sweep: Sweep) -> Folder | None:
    """The folder of the cell's parent, if it has one."""
    return None if cell.parent_id is None else cell_folder(sweep, cell.parent_id)


def headline(cells: Iterable[Cell], ledger: Ledger) -> dict[str, float]:
    """Metrics of a launch: the number of cells of each status that occurs, of done cells, and the
    bytes that all cells have seen."""
    counts = Counter(ledger.status(cell) for cell in cells)
    named = {schema.METRIC_CELLS_WITH_STATUS.format(status=s): float(n) for s, n in counts.items()}
    return {
        schema.METRIC_CELLS_DONE: 0.0,
        **named,
        schema.METRIC_CELLS_TOTAL: float(counts.total()),
        schema.METRIC_LAUNCH_BYTES_SEEN: float(
            sum(result.bytes_seen for result in ledger.results.values())
        ),
    }


def plan_rows(
    cells: Iterable[Cell], fingerprints: Mapping[str, str | None]
) -> list[dict[str, object]]:
    """The rows of `ARTIFACT_PLAN`; a fingerprint is None if it is not known."""
    plan = []
    for cell in cells:
        size = cell.size
        values: list[object] = [cell.cell_id, cell.stage, cell.source, cell.target]
        values += [size.label, size.num_bytes, cell.seed, cell.model, cell.parent_id]
        values.append(fingerprints[cell.cell_id])
        plan.append(dict(zip(PLAN_FIELDS, values, strict=True)))
    return plan
