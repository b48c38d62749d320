"""A cell that ran out of memory is retried with smaller parts of a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from raydt.grid.journal import attempts, read_journal
from raydt.grid.journal_rows import ErrorRow
from raydt.orchestration.run.task import CellTask
from raydt.storage.folder import Folder


def fitting(task: CellTask, cell: Folder) -> CellTask:
    """The task with batches in parts that fit into memory, as found by earlier attempts; the result
    is the same up to rounding."""
    if task.recipe is None:
        return task
    most = [task.recipe.max_windows_at_once, *_found_to_fit(cell)]
    known = [number for number in most if number is not None]
    if not known:
        return task
    recipe = task.recipe.model_copy(update={"max_windows_at_once": min(known)})
    return task.model_copy(update={"recipe": recipe})


def _found_to_fit(cell: Folder) -> Iterator[int | None]:
    for attempt_id in attempts(cell):
        for row in read_journal(cell, attempt_id):
            if isinstance(row, ErrorRow):
                yield row.windows_at_once
