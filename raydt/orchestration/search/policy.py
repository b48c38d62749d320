"""The policy of a search: runs and stops the trials of `raydt.tuning.search`, and records them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from raydt.orchestration.run.interruptions import interruption_line, write_interruption
from raydt.orchestration.run.policy import Interruption, NoTask
from raydt.orchestration.run.room import has_room, single_process
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

    def next(self, running: Sequence[SearchTask]) -> SearchTask | NoTask:
        # Before asking the search, because its next trial depends on what has ended until then.
        sweep = self._search.plan.sweep
        if not has_room(sweep, single_process(sweep), [task.processes for task in running]):
            return NoTask.WAIT
        trial = self._search.next()
        if trial is None:
            return NoTask.WAIT if running else NoTask.END
        self._search.started(trial)
        return self._task_of(trial)

    def started(self, task: SearchTask) -> None:
        self._progress.started(self._trial(task))

    def is_over(self, task: SearchTask, last: TrialReport | None) -> bool:
        """Whether it sent its final report before its process was lost."""
        return last is not None and last.end is not None

    def interrupted(self, task: SearchTask, interruption: Interruption) -> None:
        """Record the interruption with the search; the trial restarts from the beginning."""
        write_interruption(self._search.plan.folder, task.trial_id, interruption)
        self._progress.interrupted(self._trial(task), interruption_line(interruption))

    def print(self, line: str) -> None:
        self._progress.print(line)

    def reported(self, task: SearchTask, report: TrialReport) -> None:
        if report.val_losses:
            self._progress.reported(self._trial(task), report.val_losses[-1])

    def is_stopped(self, task: SearchTask, report: TrialReport) -> bool:
        """The search decides after every evaluation; a final report has no new one."""
        if report.end is not None or not report.val_losses:
            return False
        return self._search.is_stopped(self._trial(task), report.val_losses)

    def ended(self, task: SearchTask, last: TrialReport | None, failure: str | None) -> None:
        """Record the trial. A failed one is not recorded, and the next launch tries it again."""
        trial = self._trial(task)
        if last is None or (failure is not None and last.end is None):
            self._search.give_up(trial)
            if failure is not None:
                self._progress.failed(trial, failure)
            return
        finished = Finished(
            trial,
            # A trial without a final report was stopped.
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
