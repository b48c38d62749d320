"""Score trained cells of a sweep on minimal pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from raydt.config.model import ModelConfig
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem
from raydt.grid.cell import Cell
from raydt.grid.journal import WEIGHTS
from raydt.grid.ledger import Ledger, cell_folder
from raydt.grid.weights import weights_of
from raydt.model.alphabet import EVERY_BYTE
from raydt.model.families import new_decoder
from raydt.probes.pairs import Pair
from raydt.probes.score import Accuracy, accuracies
from raydt.storage.folder import Folder
from raydt.tracking.recorded import experiment_key, is_recorded, read_state
from raydt.tracking.schema import Stage, Status
from raydt.tracking.uri import without_password
from raydt.training.checkpoints.weights import load_weights


class Scorable(NamedTuple):
    """A cell that is done, the folder of its weights, and its MLflow run."""

    cell: Cell
    model: ModelConfig
    weights: Folder
    run_id: str


def scorable_cells(
    sweep: Sweep, cells: Sequence[Cell], every: Mapping[str, Cell]
) -> list[Scorable]:
    """The cells with their weights; a zeroshot uses its parent's. `every` includes the parents.

    `InputError` lists all cells that are not done, have no weights left or no run in MLflow.
    """
    ledger = Ledger.read(sweep, every.values())
    experiment = experiment_key(sweep.store_uri, sweep.name)
    found: list[Scorable] = []
    problems: list[Problem] = []
    for cell in cells:
        one = _scorable(sweep, cell, every, ledger, experiment)
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found.append(one)
    if problems:
        raise InputError(dict.fromkeys(problems))
    return found


def _scorable(
    sweep: Sweep, cell: Cell, every: Mapping[str, Cell], ledger: Ledger, experiment: str | None
) -> Scorable | Problem:
    what = f"cell {cell.cell_id}"
    owner: Cell | None = cell
    if cell.stage is Stage.ZEROSHOT:
        owner = None if cell.parent_id is None else every[cell.parent_id]
        if ledger.status(cell) is not Status.DONE:
            return Problem(what, "a cell that is done", ledger.status(cell))
    if owner is None:
        got = "a zeroshot, whose weights are from outside this sweep"
        return Problem(what, "a cell with weights in this sweep", got)
    kept = weights_of(sweep, owner, ledger)
    if isinstance(kept, Problem):
        return kept
    folder = cell_folder(sweep, cell.cell_id)
    attempt = ledger.results[cell.cell_id].attempt
    state = read_state(folder)
    recorded = is_recorded(folder, sweep.store_uri, experiment, attempt)
    if not recorded or state is None or state.run_id is None:
        expected = f"a run in {without_password(sweep.store_uri)} (`raydt sync` creates it)"
        return Problem(what, expected, "none")
    return Scorable(cell, sweep.model(cell.model), kept.folder, state.run_id)


def score(scorable: Scorable, pairs: Sequence[Pair]) -> dict[str, Accuracy]:
    """The accuracy of a cell, by kind of pair."""
    model = new_decoder(scorable.model)
    with tempfile.TemporaryDirectory() as cache:
        weights = scorable.weights.fetch(WEIGHTS, Path(cache) / WEIGHTS)
        alphabet = load_weights(model, weights)
    model.restrict(alphabet or EVERY_BYTE)
    return accuracies(model.eval(), pairs)
