"""A cell where it is trained: its data and weights are fetched, and what comes of it is kept."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from ray import tune

from raydt.corpora.prepared.stamps import hash_file
from raydt.errors import NoRoomError
from raydt.grid.journal import (
    WEIGHTS,
    Attempt,
    CancelledError,
    attempt_folder,
    holder,
)
from raydt.grid.journal_rows import ErrorRow, ReportRow, ResumeRow
from raydt.grid.lease import LeaseLostError
from raydt.grid.leaving import is_leaving
from raydt.grid.result import Result
from raydt.orchestration.run.fitting import fitting
from raydt.orchestration.run.resuming import AttemptCheckpoints
from raydt.orchestration.run.setup import process_of_task
from raydt.orchestration.run.system_metrics import SystemMetrics
from raydt.orchestration.run.task import CellReport, CellTask, SourceTest, received, sent_report
from raydt.orchestration.run.training import fetch_weights, read_splits, train_config
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status
from raydt.training.checkpoints.weights import save_weights
from raydt.training.evaluate import bits
from raydt.training.loop import Outcome, Ranks, Report, Resumed, TrainConfig, train


def run_cell(config: Mapping[str, Any]) -> None:
    """Train one cell and journal it; its outcome is put in place last. `config` is of a trial whose
    task is a `CellTask`.

    In a worker group every worker runs this, and the first alone writes.
    """
    task = received(config, CellTask)
    with process_of_task(task.processes) as device:
        _run_cell(task, device)


def _run_cell(task: CellTask, device: torch.device) -> None:
    started = time.time()
    ranks = Ranks.of_process_group() if task.processes.num_workers else Ranks()
    cell = open_folder(task.folder)
    task = fitting(task, cell)
    sweep = open_folder(task.sweep)
    attempt = Attempt(cell, sweep, task.launch)
    if ranks.is_first:
        attempt.begin(task.cell_id, task.fingerprint, task.data)
    work = Path(task.cache) / "attempts" / attempt.attempt_id
    checkpoints = AttemptCheckpoints(
        attempt.folder,
        work,
        _bound_to(task),
        task.checkpoint_seconds,
        lambda: is_leaving(sweep, task.launch),
    )
    try:
        if ranks.is_first:
            checkpoints.take_over(cell, attempt.attempt_id, _config(task).facts())
        if ranks.num_ranks > 1:
            torch.distributed.barrier()
            if not ranks.is_first:
                checkpoints = _checkpoints_of_first(task, cell, work)
        outcome = _train(task, attempt, checkpoints, ranks, device)
        if ranks.is_first:
            sha256 = _keep_weights(task, attempt, outcome, work)
            attempt.end(_result(task, attempt, outcome, sha256, started, device))
    except Exception as error:
        # Tune keeps tracebacks in a folder that goes with the launch.
        if ranks.is_first:
            _journal_error(attempt, error)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _bound_to(task: CellTask) -> str:
    """What checkpoints are of: the cell, and the weights that it started from, which are others
    where its parent was trained again meanwhile."""
    weights = task.initial_weights
    return task.fingerprint if weights is None else f"{task.fingerprint} from {weights.sha256}"


def _checkpoints_of_first(task: CellTask, cell: Folder, work: Path) -> AttemptCheckpoints:
    """The checkpoints that the first of a group goes on from."""
    lease = holder(cell)
    assert lease is not None, "the first has taken the cell"
    first = attempt_folder(cell, lease.attempt)
    checkpoints = AttemptCheckpoints(first, work, _bound_to(task), task.checkpoint_seconds)
    if first.local_path is None:
        checkpoints.take_over(cell, lease.attempt, _config(task).facts())
    return checkpoints


def _journal_error(attempt: Attempt, error: Exception) -> None:
    fits = error.windows_at_once if isinstance(error, NoRoomError) else None
    try:
        attempt.write(ErrorRow(traceback=traceback.format_exc(), windows_at_once=fits))
    except (LeaseLostError, CancelledError, OSError) as refusal:
        # The cell is another's, or the disk is full, which may be why: the trial's own error says.
        print(f"no journal for {attempt.folder.uri}: {refusal}")


def _train(
    task: CellTask,
    attempt: Attempt,
    checkpoints: AttemptCheckpoints,
    ranks: Ranks,
    device: torch.device,
) -> Outcome:
    def report(report: Report) -> None:
        row = _row(report, None if system is None else system.take())
        attempt.write(row)
        if task.processes.num_workers == 0:
            tune.report(sent_report(CellReport(attempt=attempt.attempt_id, row=row)))

    def resumed(resumed: Resumed) -> None:
        row = ResumeRow(bytes_seen=resumed.bytes_seen, damaged=tuple(resumed.damaged))
        attempt.go_on(row, [_row(report) for report in resumed.reports])

    cache = Path(task.cache)
    with ExitStack() as stack:
        system = None
        if task.sample_seconds is not None and ranks.is_first:
            system = stack.enter_context(SystemMetrics(task.sample_seconds, device))
        return train(
            _config(task),
            read_splits(task, task.test_bytes, task.source_test),
            initial_weights=fetch_weights(task.initial_weights, cache),
            report=report,
            device=device,
            checkpoints=checkpoints,
            resumed=resumed,
            ranks=ranks,
        )


def _config(task: CellTask) -> TrainConfig:
    return replace(
        train_config(task), test_stride_bytes=task.test_stride_bytes, precision=task.precision
    )


def _row(report: Report, system: Mapping[str, float] | None = None) -> ReportRow:
    return ReportRow(**asdict(report), val_bpb=bits(report.val_loss), system=system)


def _keep_weights(task: CellTask, attempt: Attempt, outcome: Outcome, work: Path) -> str | None:
    """Put the weights on the storage, if they are to stay; their SHA-256."""
    # Those of a zero-shot are its parent's.
    if outcome.status is not Status.DONE or task.recipe is None or not task.keep_weights:
        return None
    weights = (attempt.folder.local_path or work) / WEIGHTS
    save_weights(outcome.weights, weights, outcome.alphabet)
    attempt.folder.upload(weights, WEIGHTS)
    return hash_file(weights)


def _result(
    task: CellTask,
    attempt: Attempt,
    outcome: Outcome,
    sha256: str | None,
    started: float,
    device: torch.device,
) -> Result:
    now = time.time()
    return Result(
        cell_id=task.cell_id,
        fingerprint=task.fingerprint,
        attempt=attempt.attempt_id,
        model=task.model,
        time=now,
        status=outcome.status,
        reason=outcome.reason,
        stopped=outcome.stopped,
        test_loss=outcome.test_loss,
        test_bpb=None if outcome.test_loss is None else bits(outcome.test_loss),
        test_loss_stderr=outcome.test_loss_stderr,
        unseen_share=outcome.unseen_share,
        source_loss=outcome.source_loss,
        source_bpb=None if outcome.source_loss is None else bits(outcome.source_loss),
        source_loss_rise=_rise(task.source_test, outcome.source_loss),
        best_val_loss=outcome.best_val_loss,
        best_bytes_seen=outcome.best_bytes_seen,
        bytes_seen=outcome.bytes_seen,
        unfinished=outcome.unfinished,
        training_seconds=outcome.training_seconds,
        precision=outcome.precision,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        gpus_per_rank=task.processes.gpus or None,
        num_ranks=max(1, task.processes.num_workers),
        weights_sha256=sha256,
        seconds=now - started,
    )


def _rise(tested: SourceTest | None, loss: float | None) -> float | None:
    """What the source's test costs more than it cost the parent."""
    if tested is None or tested.loss_before is None or loss is None:
        return None
    return loss - tested.loss_before
