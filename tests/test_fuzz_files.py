"""Mutated small files that people write, and those of a storage: they are read, or refused in
words."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from rich.console import Console

from raydt.commands.sweep_parser import SweepParser
from raydt.config.cluster_file import read_cluster_gpus
from raydt.config.read import read_sweep
from raydt.config.sweep import Sweep
from raydt.grid.added import AddedCell, Round, write_rounds
from raydt.grid.build import build_grid
from raydt.grid.grids import every_cell, record_grid
from raydt.grid.journal import RESULT, Attempt, attempts, outcome_of, read_journal
from raydt.grid.lease import LaunchLease
from raydt.grid.ledger import cell_folder, check_name_is_free, record_sweep
from raydt.grid.result import write_result
from raydt.orchestration.cells import cancel_cells, retry_cells
from raydt.probes.pairs import read_pairs
from raydt.terminal.status import find_sweep, show_status
from tests.grid.results import report_of, result_of
from tests.mutated_files import Mutation, accepted, fuzzed, mutated, mutations


def _sweep_of(*words: str) -> Sweep:
    parser = SweepParser("grid", "")
    parser.add_sweep_options()
    return read_sweep(parser.read(list(words)).typed)


HPARAMS = b"""[protocol.scratch]
learning_rate = 0.3
budget_bytes = "9k"
[protocol.finetune]
epochs = {0 = 40, 8k = 20}
[found]
model = "nano"
"""
SWEEP = b"""sources = ["related", "nonsense"]
targets = ["alba"]
sizes = ["2k", "8k"]
seeds = [0, 1]
models = ["nano"]
name = "tiny"
slots = 2
storage = "runs"
[protocol]
val_bytes = "2k"
tolerance = 0.01
[protocol.scratch]
learning_rate = 1e-3
epochs = 3
"""
CLUSTER = b"""max_workers: 6
head_node_type: head
available_node_types:
  head: {node_config: {InstanceType: g5.xlarge}}
  a: {max_workers: 4, resources: {GPU: 2}, node_config: {InstanceType: g6.xlarge}}
  b: {min_workers: 0, node_config: {machineType: "zones/x/g2-standard-4"}}
"""
PAIRS = "ça va\tça vas\n\nthe dog runs\tthe dog run\n".encode()
JSON_PAIRS = b'{"sentence_good": "a b", "sentence_bad": "b a"}\n{"sen": "x y", "wrong_sen": "y"}\n'
WRITTEN: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "hparams.toml": (HPARAMS, lambda path: _sweep_of("--hparams", str(path))),
    "sweep.toml": (SWEEP, lambda path: _sweep_of("--sweep", str(path))),
    "cluster.yaml": (CLUSTER, read_cluster_gpus),
    "pairs.tsv": (PAIRS, read_pairs),
    "pairs.jsonl": (JSON_PAIRS, read_pairs),
}


@pytest.mark.parametrize("name", WRITTEN)
@fuzzed
@given(changes=mutations)
def test_files_that_people_write(name: str, changes: list[Mutation], tmp_path: Path) -> None:
    data, read = WRITTEN[name]
    path = tmp_path / name
    path.write_bytes(mutated(data, changes))
    accepted(lambda: read(path))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a sweep of which one cell is done and one was cut off."""
    storage = tmp_path_factory.mktemp("stored")
    sweep = _sweep_of("--storage", str(storage), "--name", "tiny", "--sizes", "2k", "--seeds", "0")
    record_sweep(sweep)
    record_grid(sweep)
    done, cut = build_grid(sweep)[:2]
    with LaunchLease(sweep.folder, on_lost=lambda: None) as lease:
        for cell in (done, cut):
            folder = cell_folder(sweep, cell.cell_id)
            attempt = Attempt(folder, sweep.folder, lease.launch_id)
            attempt.begin(cell.cell_id, "f" * 64)
            attempt.write(report_of())
            if cell is done:
                result = result_of(cell.cell_id, attempt=attempt.attempt_id, test_loss=1.5)
                attempt.end(result)
                write_result(folder, RESULT, result)
    write_rounds(sweep, [Round(until=1.5, budget_seconds=None, cells=(AddedCell.of(cut, "why"),))])
    return storage


def look(storage: Path) -> None:
    """What looks at a sweep and its cells read of it."""
    sweep = find_sweep(str(storage), None)
    show_status(str(storage), sweep.name, Console(file=io.StringIO()))
    check_name_is_free(sweep)
    for cell in every_cell(sweep)[:2]:
        folder = cell_folder(sweep, cell.cell_id)
        outcome_of(folder)
        for attempt in attempts(folder):
            read_journal(folder, attempt)


def work_on(storage: Path) -> None:
    """What a person does to cells reads more of them, and takes the sweep."""
    sweep = find_sweep(str(storage), None)
    cells = every_cell(sweep)[:2]
    cancel_cells(sweep, cells)
    retry_cells(sweep, cells, done_too=True)


STORED = (
    "sweep.json grids.json added.json launch.json lease.json result.json outcome.json journal.jsonl"
).split()


@pytest.mark.parametrize("name", STORED)
@fuzzed
@given(changes=mutations)
def test_files_of_a_storage(name: str, changes: list[Mutation], stored: Path) -> None:
    before = {path: path.read_bytes() for path in stored.rglob(name)}
    assert before
    try:
        for path, data in before.items():
            path.write_bytes(mutated(data, changes))
        accepted(lambda: look(stored))
    finally:
        for path, data in before.items():
            path.write_bytes(data)


WRONG = ["", "{", "[]", "null", "7", '"x"', "{}", "[[1]]", "[" * 3000, "\xff"]
WRONG += ['{"launch": 3, "attempt": [], "time": "x"}', '[{"sources": 7}]']


@pytest.mark.parametrize("name", STORED)
def test_other_json_in_files_of_a_storage(name: str, stored: Path, tmp_path: Path) -> None:
    for number, text in enumerate(WRONG):
        storage = tmp_path / str(number)
        shutil.copytree(stored, storage)
        for path in storage.rglob(name):
            path.write_text(text, "latin-1")
        accepted(lambda storage=storage: look(storage))  # type: ignore[misc]
        accepted(lambda storage=storage: work_on(storage))  # type: ignore[misc]
