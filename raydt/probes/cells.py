"""Cells of a sweep on minimal pairs, by the weights that are there; nothing is trained."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raydt.config.model import ModelConfig
from raydt.config.sweep import Sweep
from raydt.errors import InputError, Problem, bad
from raydt.grid.cell import Cell
from raydt.grid.journal import WEIGHTS
from raydt.grid.ledger import Ledger
from raydt.grid.weights import Kept, weights_of
from raydt.model.alphabet import EVERY_BYTE
from raydt.model.families import new_decoder
from raydt.probes.pairs import Pair
from raydt.probes.score import Accuracy, accuracy
from raydt.tracking.schema import Stage
from raydt.training.checkpoints.weights import load_weights

_COLUMNS = "stage source target size size_bytes seed model loss".split()


def probe_cells(
    sweep: Sweep, cells: Sequence[Cell], every: Mapping[str, Cell], pairs: Sequence[Pair]
) -> Iterator[tuple[Cell, Accuracy]]:
    """The accuracy of each cell, one after the other; a zeroshot has its parent's.

    `InputError` for cells that are not done or whose weights are gone: all of them, before any is
    computed. `every` has the parents.
    """
    ledger = Ledger.read(sweep, every.values())
    found: dict[str, Kept | Problem] = {}
    for cell in cells:
        owner = _owner(cell, every)
        if owner is None:
            requirement = "a cell of this sweep that has weights; those of this one are outside it"
            found[cell.cell_id] = Problem(f"cell {cell.cell_id}", requirement, "a zeroshot")
        else:
            found[cell.cell_id] = weights_of(sweep, owner, ledger)
    problems = [each for each in found.values() if isinstance(each, Problem)]
    if problems:
        raise InputError(dict.fromkeys(problems))
    for cell in cells:
        kept = found[cell.cell_id]
        assert not isinstance(kept, Problem)
        yield cell, _accuracy(sweep.model(cell.model), kept, pairs)


def write_table(path: Path, rows: Sequence[tuple[Cell, Accuracy]]) -> None:
    """Write what `raydt import` reads; in the place of a loss stands the share of pairs that a cell
    gets wrong. `InputError` if there is such a file."""
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(_row(cell, measured) for cell, measured in rows)
    except OSError as error:
        raise bad(f"--out {path}", "a new file", error.strerror or error) from None


def _owner(cell: Cell, every: Mapping[str, Cell]) -> Cell | None:
    """The cell that has its weights; None if that is no cell of the sweep."""
    if cell.stage is not Stage.ZEROSHOT:
        return cell
    return None if cell.parent_id is None else every[cell.parent_id]


def _accuracy(model: ModelConfig, kept: Kept, pairs: Sequence[Pair]) -> Accuracy:
    decoder = new_decoder(model)
    with tempfile.TemporaryDirectory() as cache:
        alphabet = load_weights(decoder, kept.folder.fetch(WEIGHTS, Path(cache) / WEIGHTS))
    decoder.restrict(alphabet or EVERY_BYTE)
    return accuracy(decoder.eval(), pairs)


def _row(cell: Cell, measured: Accuracy) -> list[object]:
    # A rate of zero has no logarithm: half a pair is what cannot be told from none.
    wrong = max(1 - measured.share, 0.5 / measured.num_pairs)
    names = [cell.stage, cell.source or "", cell.target or "", cell.size.label]
    return [*names, cell.size.num_bytes, cell.seed, cell.model, f"{wrong:.6f}"]
