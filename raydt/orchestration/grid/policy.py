"""The policy of a grid: cells start when their parents are done, and are decided by what they
wrote.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from raydt.config.sweep import Sweep
from raydt.grid.cell import Cell
from raydt.grid.journal import attempts, is_cancelled
from raydt.grid.lease import LeaseLostError
from raydt.grid.ledger import cell_folder
from raydt.grid.result import Result
from raydt.grid.schedule import Schedule
from raydt.orchestration.grid.commit import Committer
from raydt.orchestration.grid.groups import GroupWatch
from raydt.orchestration.grid.recorder import CellRecorder
from raydt.orchestration.grid.tasks import with_parent
from raydt.orchestration.run.interruptions import interruption_line, write_interruption
from raydt.orchestration.run.policy import Interruption, NoTask
from raydt.orchestration.run.room import has_room
from raydt.orchestration.run.task import CellReport, CellTask
from raydt.orchestration.run.trial import run_trial
from raydt.storage.folder import Folder
from raydt.terminal.progress import Progress
from raydt.tracking.schema import Status


class GridPolicy:
    """See `raydt.orchestration.run.policy.Policy`. `tasks` has one task per cell of the schedule
    and per parent. As a context manager, it also polls the journals of worker groups."""

    report_kind = CellReport
    trainable = staticmethod(run_trial)

    def __init__(
        self,
        sweep: Sweep,
        schedule: Schedule,
        tasks: Mapping[str, CellTask],
        progress: Progress,
        recorder: CellRecorder,
    ) -> None:
        self._sweep = sweep
        self._schedule = schedule
        self._tasks = tasks
        self._progress = progress
        self._recorder = recorder
        self._held: CellTask | None = None  # waits for room
        self._groups = GroupWatch(self._folder, self._show)

    def __enter__(self) -> GridPolicy:
        self._groups.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._groups.end()

    def next(self, running: Sequence[CellTask]) -> CellTask | NoTask:
        """The next cell of the schedule, with its parent's weights; never a child of a cell that is
        not done."""
        task = self._held or self._take()
        if task is None:
            return NoTask.END if self._schedule.exhausted else NoTask.WAIT
        if not has_room(self._sweep, task.processes, [other.processes for other in running]):
            self._held = task
            return NoTask.WAIT
        self._held = None
        return task

    def started(self, task: CellTask) -> None:
        self._progress.started(task.cell_id)
        if task.processes.num_workers:
            self._groups.add(task.cell_id)

    def is_over(self, task: CellTask, last: CellReport | None) -> bool:
        """Whether its outcome was written before its process was lost, or it was cancelled."""
        folder = self._folder(task.cell_id)
        try:
            result = self._committer(task).commit(folder, task.fingerprint)
        except LeaseLostError:
            return True
        return result is not None or is_cancelled(folder)

    def interrupted(self, task: CellTask, interruption: Interruption) -> None:
        """Record the interruption with the cell; the next attempt resumes from its checkpoint."""
        self._groups.discard(task.cell_id)
        write_interruption(self._folder(task.cell_id), task.cell_id, interruption)
        self._progress.interrupted(task.cell_id, interruption_line(interruption))

    def print(self, line: str) -> None:
        self._progress.print(line, style="yellow")

    def reported(self, task: CellTask, report: CellReport) -> None:
        self._show(task.cell_id, report)

    def is_stopped(self, task: CellTask, report: CellReport) -> bool:
        """Never: cells stop by themselves."""
        return False

    def ended(self, task: CellTask, last: CellReport | None, failure: str | None) -> None:
        """Commit its result, which decides whether its children may start. A trial that ended
        without an error may have diverged, and one whose process was lost may have finished before.
        """
        self._groups.discard(task.cell_id)
        folder = self._folder(task.cell_id)
        try:
            result = self._committer(task).commit(folder, task.fingerprint)
        except LeaseLostError as error:
            self._lost(task, error)
            return
        if result is not None and result.status is Status.DONE:
            self._schedule.done(task.cell_id)
        else:
            self._block_children(task.cell_id)
        if result is None and failure is not None and is_cancelled(folder):
            self._progress.cancelled(task.cell_id)
            self._recorder.cancelled(task.cell_id)
            return
        if result is None:
            self._fail(task, failure or "ended without an outcome")
            return
        self._progress.ended(task.cell_id, result)
        self._recorder.ended(task.cell_id, result)

    def _take(self) -> CellTask | None:
        while (cell := self._schedule.next()) is not None:
            if is_cancelled(self._folder(cell.cell_id)):
                self._progress.print(f"{cell.cell_id}: cancelled", style="yellow")
                self._block_children(cell.cell_id)
                continue
            return with_parent(self._tasks[cell.cell_id], self._sweep, self._parent_of(cell))
        return None

    def _parent_of(self, cell: Cell) -> Result | None:
        if cell.parent_id is None:
            return None
        parent = self._tasks[cell.parent_id]
        return self._committer(parent).commit(self._folder(cell.parent_id), parent.fingerprint)

    def _block_children(self, cell_id: str) -> None:
        for cell in self._schedule.failed(cell_id):
            self._progress.blocked(cell)

    def _fail(self, task: CellTask, reason: str) -> None:
        """The cell failed for good: write a result with the reason, without numbers."""
        folder = self._folder(task.cell_id)
        tried = attempts(folder)
        failed = Result(
            cell_id=task.cell_id,
            fingerprint=task.fingerprint,
            attempt=tried[-1] if tried else f"{int(time.time() * 1000)}-none",
            model=task.model,
            time=time.time(),
            status=Status.FAILED,
            reason=reason,
            bytes_seen=0,
            training_seconds=0.0,
        )
        try:
            result = self._committer(task).decide(folder, failed)
        except LeaseLostError as error:
            self._lost(task, error)
        except OSError as error:
            # A full disk. Without a result the cell counts as not begun, which is right; MLflow
            # must not get one either, or a later outcome would not be recorded.
            self._progress.print(f"{task.cell_id}: cannot write the result: {error}", style="red")
            self._progress.ended(task.cell_id, failed)
        else:
            self._progress.ended(task.cell_id, result)
            self._recorder.ended(task.cell_id, result)

    def _lost(self, task: CellTask, error: LeaseLostError) -> None:
        # The lease interrupts the launch; until then, decide and start nothing more.
        self._progress.print(f"{task.cell_id}: {error}", style="red")
        self._block_children(task.cell_id)

    def _committer(self, task: CellTask) -> Committer:
        return Committer(self._sweep.folder, task.launch)

    def _show(self, cell_id: str, report: CellReport) -> None:
        self._progress.reported(cell_id, report.row)
        self._recorder.reported(cell_id, report.attempt)

    def _folder(self, cell_id: str) -> Folder:
        return cell_folder(self._sweep, cell_id)
