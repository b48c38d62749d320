"""The tasks of a grid's cells."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from raydt.config.mixtures import Mixed
from raydt.config.sweep import Sweep
from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.grid.cell import Cell, is_tested_on_source
from raydt.grid.identity import fingerprint
from raydt.grid.journal import WEIGHTS, attempt_folder
from raydt.grid.ledger import cell_folder
from raydt.grid.read_data import ReadData
from raydt.grid.result import Result
from raydt.orchestration.grid.data import read_data
from raydt.orchestration.run.task import CellTask, Processes, SourceTest, Weights
from raydt.tracking.schema import Stage
from raydt.tracking.system_metrics import sampling_seconds
from raydt.units import Size


def data_language(cell: Cell, joint_data: Mapping[tuple[str, str, Size], Mixed]) -> str:
    """What is prepared of the bytes that the cell reads: a language, or a mixture."""
    if cell.stage is Stage.JOINT:
        return joint_data[str(cell.source), str(cell.target), cell.size].name
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
    outside: Mapping[str, Weights],
) -> dict[str, CellTask]:
    """A task per cell, by cell id; without the weights of its parent, see `with_parent`.

    `cells` has parents before children. `locations` says where each language is for a worker,
    `num_workers` how many train a cell together, 0 for the trial's own process, `outside` the
    weights of sources that are checkpoints.
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
    joint_data = sweep.joint_data
    parents = {cell.parent_id for cell in cells}
    sweep_folder, cache = sweep.folder, str(sweep.local_storage / "cache")
    sample_seconds = sampling_seconds()
    digests: dict[tuple[str, int], str] = {}
    read: dict[tuple[str, int], tuple[ReadData, ...]] = {}
    source_tests: dict[str, tuple[SourceTest, tuple[ReadData, ...]]] = {}
    tasks: dict[str, CellTask] = {}
    for cell in cells:
        language = languages[data_language(cell, joint_data)]
        val_bytes, test_bytes = sizes[language.name]
        key = (language.name, cell.train_bytes)
        if key not in digests:
            digests[key] = language.digest(cell.train_bytes, val_bytes, test_bytes)
            read[key] = read_data(language, cell.train_bytes, val_bytes, test_bytes)
        source = str(cell.source)
        source_test: SourceTest | None = None
        source_data: tuple[ReadData, ...] = ()
        if is_tested_on_source(cell, sweep):
            if source not in source_tests:
                num_bytes = sizes[source][1]
                source_tests[source] = (
                    _source_test(languages[source], locations[source], num_bytes),
                    read_data(languages[source], 0, 0, num_bytes),
                )
            source_test, source_data = source_tests[source]
        parent = tasks[cell.parent_id].fingerprint if cell.parent_id else None
        initial = None if cell.parent_id else outside.get(cell.source or "")
        if initial is not None:
            parent = f"weights {initial.sha256}"
        tasks[cell.cell_id] = CellTask(
            cell_id=cell.cell_id,
            parent_id=cell.parent_id,
            initial_weights=initial,
            launch=launch_id,
            sweep=sweep_folder.uri,
            folder=cell_folder(sweep, cell.cell_id).uri,
            cache=cache,
            fingerprint=fingerprint(cell, sweep, digests[key], parent),
            model=cell.model,
            shape=sweep.model(cell.model),
            recipe=None if cell.stage is Stage.ZEROSHOT else protocol.recipe(cell.stage),
            size_bytes=cell.train_bytes,
            seed=cell.seed,
            evaluation_growth=protocol.evaluation_growth,
            evaluations=protocol.evaluations,
            tolerance=protocol.tolerance,
            patience=protocol.patience,
            test_stride_bytes=protocol.test_stride(sweep.model(cell.model).window_bytes),
            # A zeroshot has no recipe: it is evaluated as its weights were.
            precision=protocol.pretrain.precision,
            checkpoint_seconds=sweep.checkpoint_seconds,
            keep_weights=sweep.keep_weights == "all" or cell.cell_id in parents,
            sample_seconds=sample_seconds,
            language=locations[language.name],
            data_digest=digests[key],
            data=(*read[key], *source_data),
            val_bytes=val_bytes,
            test_bytes=test_bytes,
            source_test=source_test,
            processes=Processes(
                num_workers=num_workers[cell.cell_id],
                cpus=sweep.cpus_per_cell,
                gpus=sweep.gpus_per_cell,
            ),
        )
    return tasks


def _source_test(source: PreparedLanguage, location: str, num_bytes: int) -> SourceTest:
    sha256 = hashlib.sha256(source.test(num_bytes).data).hexdigest()
    return SourceTest(language=location, num_bytes=num_bytes, sha256=sha256)


def with_parent(task: CellTask, sweep: Sweep, parent: Result | None) -> CellTask:
    """A task with the weights it starts from and their loss, known once its parent is done."""
    if task.parent_id is None:
        return task
    assert parent is not None, f"{task.cell_id} is handed out after its parent"
    assert parent.weights_sha256 is not None, f"{task.parent_id} ended with weights"
    folder = attempt_folder(cell_folder(sweep, task.parent_id), parent.attempt)
    weights = Weights(folder=folder.uri, name=WEIGHTS, sha256=parent.weights_sha256)
    known: dict[str, object] = {"initial_weights": weights}
    if task.source_test is not None:
        before = {"loss_before": parent.test_loss}
        known["source_test"] = task.source_test.model_copy(update=before)
    return task.model_copy(update=known)
