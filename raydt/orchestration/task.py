"""What the driver sends to a trial: a cell with all it needs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.grid.cell import Cell
from raydt.grid.identity import fingerprint
from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.ledger import cell_folder
from raydt.tracking.schema import Stage


def data_language(cell: Cell) -> str:
    """The language whose bytes the cell reads."""
    language = cell.source if cell.stage is Stage.PRETRAIN else cell.target
    assert language is not None
    return language


def build_tasks(
    cells: list[Cell],
    sweep: Sweep,
    languages: Mapping[str, PreparedLanguage],
    locations: Mapping[str, str],
    num_workers: Mapping[str, int],
    launch_id: str,
) -> dict[str, dict[str, Any]]:
    """A task per cell, by cell id.

    `cells` has parents before children. `locations` says where each language is for a worker,
    `num_workers` how many train a cell together, 0 for the trial's own process.
    """
    protocol = sweep.protocol
    # Of each language by itself: a cell stays what it is when others are added to the sweep.
    sizes = {
        name: (
            evaluation_bytes(language, "val", protocol.asked_val_bytes),
            evaluation_bytes(language, "test", protocol.asked_test_bytes),
        )
        for name, language in languages.items()
    }
    digests: dict[tuple[str, int], str] = {}
    tasks: dict[str, dict[str, Any]] = {}
    for cell in cells:
        language = languages[data_language(cell)]
        val_bytes, test_bytes = sizes[data_language(cell)]
        key = (language.name, cell.size.num_bytes)
        if key not in digests:
            digests[key] = language.digest(cell.size.num_bytes, val_bytes, test_bytes)
        parent = tasks[cell.parent_id]["fingerprint"] if cell.parent_id else None
        recipe = None
        if cell.stage is not Stage.ZEROSHOT:
            recipe = protocol.recipe(cell.stage).model_dump(mode="json")
        tasks[cell.cell_id] = {
            "cell_id": cell.cell_id,
            "parent_id": cell.parent_id,
            "launch": launch_id,
            "sweep": sweep.folder.uri,
            "folder": cell_folder(sweep, cell.cell_id).uri,
            "cache": str(sweep.local_storage / "cache"),
            "fingerprint": fingerprint(cell, sweep, digests[key], parent),
            "model": cell.model,
            "recipe": recipe,
            "size_bytes": cell.size.num_bytes,
            "seed": cell.seed,
            "evaluation_growth": protocol.evaluation_growth,
            "evaluations": protocol.evaluations,
            "tolerance": protocol.tolerance,
            "patience": protocol.patience,
            "test_stride_bytes": protocol.test_stride(MODELS[cell.model].window_bytes),
            # A zeroshot has no recipe: it is evaluated as its weights were.
            "precision": protocol.pretrain.precision,
            "checkpoint_seconds": sweep.checkpoint_seconds,
            "language": locations[language.name],
            "val_bytes": val_bytes,
            "test_bytes": test_bytes,
            "num_workers": num_workers[cell.cell_id],
            "gpus": sweep.gpus_per_cell,
            "cpus": sweep.cpus_per_cell,
            "max_retries": sweep.max_retries,
        }
    return tasks


def with_parent(
    task: Mapping[str, Any], sweep: Sweep, results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A task with the weights it starts from, known once its parent is done."""
    if task["parent_id"] is None:
        return {**task, "initial_weights": None}
    parent = results[task["parent_id"]]
    folder = attempt_folder(cell_folder(sweep, task["parent_id"]), parent["attempt"])
    return {
        **task,
        "initial_weights": {
            "folder": folder.uri, "name": WEIGHTS, "sha256": parent["weights_sha256"]
        },
    }  # fmt: skip
