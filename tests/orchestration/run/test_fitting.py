"""A cell that has no room is tried again in the parts that its first attempt found to fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from raydt.config.recipe import Recipe
from raydt.errors import BatchTooLargeError, RunError
from raydt.grid.journal import attempts, read_journal
from raydt.grid.journal_rows import ErrorRow
from raydt.grid.lease import LaunchLease
from raydt.orchestration.run import worker
from raydt.orchestration.run.fitting import fitting
from raydt.orchestration.run.task import sent
from raydt.storage.opening import open_folder
from raydt.training.loop import TrainConfig
from tests.orchestration.tasks import cell_task

CELL = "scratch/alba/2k/nano/s0"


def test_the_second_attempt_takes_smaller_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int | None] = []

    def train(config: TrainConfig, *_: object, **__: object) -> None:
        assert config.recipe is not None
        asked.append(config.recipe.max_windows_at_once)
        if len(asked) < 3:
            raise BatchTooLargeError("64 windows do not fit; max_windows_at_once = 16 does", 16)
        raise RunError("of another kind")

    monkeypatch.setattr(worker, "train", train)
    monkeypatch.setattr(worker, "read_splits", lambda *_, **__: None)
    cell = open_folder(str(tmp_path / "cells" / CELL))
    with LaunchLease(open_folder(str(tmp_path)), on_lost=lambda: None) as lease:
        task = cell_task(
            CELL,
            launch=lease.launch_id,
            sweep=str(tmp_path),
            folder=cell.uri,
            cache=str(tmp_path / "cache"),
        )
        for _ in range(2):
            with pytest.raises(BatchTooLargeError):
                worker.run_cell(sent(task))
        with pytest.raises(RunError, match="of another kind"):
            worker.run_cell(sent(task))
    assert asked == [None, 16, 16]
    rows = [read_journal(cell, attempt)[-1] for attempt in attempts(cell)]
    assert [row.windows_at_once for row in rows if isinstance(row, ErrorRow)] == [16, 16, None]
    # What is said is not made larger, and a zeroshot has no batches.
    small = task.model_copy(update={"recipe": Recipe(max_windows_at_once=8)})
    assert fitting(small, cell).recipe == small.recipe
    without = task.model_copy(update={"recipe": None})
    assert fitting(without, cell) == without


def test_a_cell_that_never_lacked_memory_is_as_it_was(tmp_path: Path) -> None:
    task = cell_task(CELL)
    assert fitting(task, open_folder(str(tmp_path))) == task


def test_the_number_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(BatchTooLargeError("no room", 4)))
    assert (str(error), error.windows_at_once) == ("no room", 4)
