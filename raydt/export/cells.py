"""Export cells of a sweep as folders that `transformers` loads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from raydt.config.sweep import Sweep
from raydt.corpora.prepared.manifest import Manifest, read_manifest
from raydt.corpora.spec import parse_corpus
from raydt.errors import InputError, Problem, RunError
from raydt.export.card import model_card
from raydt.export.folder import write_model
from raydt.grid.cell import Cell
from raydt.grid.journal import WEIGHTS
from raydt.grid.ledger import Ledger
from raydt.grid.result import Result
from raydt.grid.weights import weights_of
from raydt.model.alphabet import Alphabet
from raydt.storage.folder import Folder
from raydt.tracking.schema import Stage
from raydt.units import approximate_bytes


@dataclass(frozen=True)
class _Ready:
    """A cell that can be exported, and what its model card needs."""

    cell: Cell
    result: Result
    weights: Folder
    manifests: Sequence[Manifest]
    folder: Path


def export_cells(sweep: Sweep, cells: Sequence[Cell], to: Path) -> dict[str, Path]:
    """Write each cell's model; return its folder by cell id. One cell is written to the folder
    `to`, several to one folder each inside it.

    `InputError` lists all cells that are not done, have no own weights or no weights in the
    storage, and all folders that are not empty, before anything is written.
    """
    ledger = Ledger.read(sweep, cells)
    problems: list[Problem] = []
    ready: list[_Ready] = []
    for cell in cells:
        folder = to if len(cells) == 1 else to / folder_name(cell)
        found = _look(sweep, cell, ledger, folder)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            ready.append(found)
    problems += _not_empty([to])
    if problems:
        raise InputError(problems)
    for each in ready:
        _write(sweep, each)
    return {each.cell.cell_id: each.folder for each in ready}


def folder_name(cell: Cell) -> str:
    """The name of a cell's folder if several are exported: its id without slashes."""
    return cell.cell_id.replace("/", "-")


def _look(sweep: Sweep, cell: Cell, ledger: Ledger, folder: Path) -> _Ready | Problem:
    if cell.stage is Stage.ZEROSHOT:
        owner = cell.parent_id or sweep.checkpoints[str(cell.source)]
        got = f"a zeroshot, which uses the weights of {owner}"
        return Problem(f"cell {cell.cell_id}", "a cell with its own weights", got)
    if sweep.model(cell.model).family == "hub":
        requirement = "a cell of one of raydt's own models"
        return Problem(f"cell {cell.cell_id}", requirement, f"{cell.model}, a Hugging Face model")
    kept = weights_of(sweep, cell, ledger)
    if isinstance(kept, Problem):
        return kept
    root = sweep.local_storage / "corpora" / parse_corpus(sweep.corpus).key
    manifests = []
    for language in (cell.source, cell.target):
        if language is not None and language not in sweep.checkpoints:
            try:
                manifests.append(read_manifest(root / language))
            except InputError as error:
                return error.problems[0]
    return _Ready(cell, kept.result, kept.folder, manifests, folder)


def _not_empty(folders: Iterable[Path]) -> list[Problem]:
    problems = []
    for folder in folders:
        if folder.is_dir():
            names = sorted(path.name for path in folder.iterdir())
            if names:
                got = f"{len(names)} files, such as {names[0]}"
                problems.append(Problem(f"--to {folder}", "a new or an empty folder", got))
        elif folder.exists():
            problems.append(Problem(f"--to {folder}", "a new or an empty folder", "a file"))
    return problems


def _write(sweep: Sweep, ready: _Ready) -> None:
    cell, result = ready.cell, ready.result
    recipe = sweep.protocol.recipe(cell.stage)
    start = None
    if cell.source in sweep.checkpoints:
        start = f"started from {sweep.checkpoints[cell.source]}"
    elif cell.stage is Stage.JOINT:
        start = f"trained from scratch on {cell.source} and {cell.target}, half of each"
    elif cell.source is not None:
        size = approximate_bytes(sweep.pretrain_size.num_bytes)
        start = f"pretrained on {size} bytes of {cell.source}"
    card = model_card(
        f"raydt-{folder_name(cell)}",
        cell,
        result,
        sweep.model(cell.model),
        recipe,
        ready.manifests,
        start,
    )
    facts = {
        "sweep": sweep.name,
        "cell": cell.cell_id,
        "model": cell.model,
        "fingerprint": result.fingerprint,
        "weights_sha256": result.weights_sha256,
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            weights = ready.weights.fetch(WEIGHTS, Path(folder) / WEIGHTS)
            with safe_open(weights, "np") as file:
                alphabet = Alphabet.of_metadata(file.metadata() or {})
            ready.folder.parent.mkdir(parents=True, exist_ok=True)
            write_model(ready.folder, sweep.model(cell.model), weights, alphabet, card, facts)
        except (OSError, SafetensorError) as error:
            raise RunError(f"{cell.cell_id} cannot be exported: {error}") from None
