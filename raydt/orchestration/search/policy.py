"""A search's policy: what `raydt.tuning.search` asks for, stopped as it says, into its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from raydt.orchestration.run.losses import loss_line, write_loss
from raydt.orchestration.run.policy import Loss, Nothing
from raydt.orchestration.run.room import has_room, of_one_process
from raydt.orchestration.search.recorder import TrialRecorder
from raydt.orchestration.search.task import SearchTask, TrialReport
from raydt.orchestration.search.trial import run_search_trial
from raydt.terminal.search_progress import SearchProgress
from raydt.tuning.search import Search
from raydt.tuning.trial import End, Finished, Trial


class SearchPolicy:
    """See `raydt.orchestration.run.policy.Policy`."""

    report_kind = TrialReport
    trainable = staticmethod(run_search_trial)

    def __init__(
        self,
        search: Search,
        task_of: Callable[[Trial], SearchTask],
        progress: SearchProgress,
        recorder: TrialRecorder,
    ) -> None:
        self._search = search
        self._task_of = task_of
        self._progress = progress
        self._recorder = recorder

    def next(self, running: Sequence[SearchTask]) -> SearchTask | Nothing:
        # Asked before the search is: what it says hangs on what has ended until then.
        sweep = self._search.plan.sweep
        if not has_room(sweep, of_one_process(sweep), [task.processes for task in running]):
            return Nothing.YET
        trial = self._search.next()
        if trial is None:
            return Nothing.YET if running else Nothing.EVER
        self._search.started(trial)
        return self._task_of(trial)

    def started(self, task: SearchTask) -> None:
        self._progress.started(self._trial(task))

    def is_over(self, task: SearchTask, last: TrialReport | None) -> bool:
        """It may have said its last word before its process was lost."""
        return last is not None and last.end is not None

    def lost(self, task: SearchTask, loss: Loss) -> None:
        """It is in the search's journal of losses; the trial begins anew."""
        write_loss(self._search.plan.folder, task.trial_id, loss)
        self._progress.lost(self._trial(task), loss_line(loss))

    def print(self, line: str) -> None:
        self._progress.print(line)

    def reported(self, task: SearchTask, report: TrialReport) -> None:
        if report.val_losses:
            self._progress.reported(self._trial(task), report.val_losses[-1])

    def is_stopped(self, task: SearchTask, report: TrialReport) -> bool:
        """Of every evaluation the search is asked; the last word of a trial has none of its own."""
        if report.end is not None or not report.val_losses:
            return False
        return self._search.is_stopped(self._trial(task), report.val_losses)

    def ended(self, task: SearchTask, last: TrialReport | None, failure: str | None) -> None:
        """It goes into the record. One that failed says nothing; the next launch tries it again."""
        trial = self._trial(task)
        if last is None or (failure is not None and last.end is None):
            self._search.lost(trial)
            if failure is not None:
                self._progress.failed(trial, failure)
            return
        finished = Finished(
            trial,
            # Who has not said its last word was stopped.
            last.end or End.STOPPED,
            last.val_losses,
            last.bytes_seen,
            last.seconds,
            time.time(),
            last.weights_sha256,
            last.reason,
        )
        self._search.done(finished)
        self._recorder.ended(finished)
        self._progress.ended(finished)

    def _trial(self, task: SearchTask) -> Trial:
        return self._search.running[task.trial_id]
