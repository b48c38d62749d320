"""Progress of a search: a live table on a terminal, else a line per trial."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raydt.terminal.amounts import duration
from raydt.terminal.live import LiveProgress, plain_table
from raydt.tuning.plan import Study
from raydt.tuning.search import Search
from raydt.tuning.stage_result import StageResult
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.units import approximate_bytes

_MAX_ROWS = 8  # of running trials
_FACTORS = {
    "learning_rate": "lr",
    "embedding_learning_rate": "emb",
    "max_batch_windows": "batch",
    "warmup_steps": "warm-up",
    "weight_decay": "decay",
    "budget_bytes": "budget",
}


class SearchProgress(LiveProgress):
    """Shows every event of a search."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self._search: Search | None = None
        self._bytes_before = 0
        self._num_ended = 0
        self._bytes_trained = 0
        self._running: dict[str, tuple[Trial, float]] = {}
        self._reports: dict[str, tuple[int, float]] = {}
        self._num: dict[tuple[str, str], int] = {}  # finished trials by stage and size
        self._best: dict[tuple[str, str], tuple[float, Finished]] = {}

    def begin(self, search: Search) -> None:
        """The search starts or resumes."""
        self._search = search
        self._started = time.monotonic()
        self._bytes_before = self._bytes_trained = search.bytes_trained
        there = list(search.record.finished.values())
        for finished in there:
            self._note(finished)
        before = f", {len(there)} runs done before" if there else ""
        plan = search.plan
        self.print(
            f"Searching for {plan.model_name} on at most "
            f"{approximate_bytes(search.cost.max_bytes)} bytes{before}, "
            f"{plan.sweep.num_slots} at a time"
        )
        self._show()

    def started(self, trial: Trial) -> None:
        """A trial started."""
        with self._lock:
            self._running[trial.trial_id] = (trial, time.monotonic())

    def reported(self, trial: Trial, row: tuple[int, float]) -> None:
        """A running trial was evaluated: bytes seen, nats per byte."""
        with self._lock:
            self._reports[trial.trial_id] = (int(row[0]), float(row[1]))

    def ended(self, finished: Finished) -> None:
        """A trial ended and was recorded."""
        with self._lock:
            self._forget(finished.trial)
            self._note(finished)
            self._num_ended += 1
            self._bytes_trained += finished.bytes_seen
            line = self._line(finished)
            self._keep(line)
        if self._live is None:
            used = f"{approximate_bytes(self._bytes_trained)} bytes"
            self.print(f"[{used}] {line}")

    def interrupted(self, trial: Trial, line: str) -> None:
        """A trial was interrupted and will be retried; `line` says why and when."""
        self.print(f"{_name(trial)} {line}", style="yellow")

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial failed for good."""
        with self._lock:
            self._forget(trial)
        self.print(f"{_name(trial)} failed: {reason}", style="red")

    def stage_done(self, found: StageResult) -> None:
        """The search of a stage is finished."""
        self.print(f"{found.stage}: {found.why}", style="green" if found.is_tuned else "yellow")

    def _forget(self, trial: Trial) -> None:
        self._running.pop(trial.trial_id, None)
        self._reports.pop(trial.trial_id, None)

    def _note(self, finished: Finished) -> None:
        trial = finished.trial
        if trial.kind is not Kind.TRIAL or self._search is None:
            return
        key = (str(trial.stage), trial.size.label)
        self._num[key] = self._num.get(key, 0) + 1
        if finished.end is End.DONE:
            score = self._search.score(finished)
            if key not in self._best or score < self._best[key][0]:
                self._best[key] = (score, finished)

    def _line(self, finished: Finished) -> str:
        bpb = finished.best_val_loss / math.log(2)
        text = f"{_name(finished.trial):<40} {bpb:.3f} bpb"
        if finished.trial.kind is Kind.TRIAL and self._search is not None:
            text += f"  {_percent(self._search.score(finished))}"
        return text + ("" if finished.end is End.DONE else f"  {finished.end}")

    def _head(self) -> tuple[ProgressBar, Sequence[Text]]:
        used, budget = self._bytes_trained, self._budget()
        return ProgressBar(total=budget, completed=used, width=28), [
            Text(f"{approximate_bytes(used)} of about {approximate_bytes(budget)}", style="green"),
            Text(f"{self._num_ended} ended", style="green"),
            Text(f"{len(self._running)} running", style="cyan"),
        ]

    def _left(self, elapsed_seconds: float) -> str:
        used = self._bytes_trained
        rate = (used - self._bytes_before) / elapsed_seconds if elapsed_seconds else 0.0
        return f", about {duration((self._budget() - used) / rate)} left" if rate else ""

    def _tables(self) -> Sequence[Table]:
        assert self._search is not None
        plan = self._search.plan
        best = _columns("stage and size", "trials", "best so far", "with")
        for stage in plan.stages:
            for study in plan.studies(stage):
                best.add_row(*self._study_row(study))
        now = _columns("running", "seen", "val bpb", "for")
        running = sorted(self._running.values(), key=lambda item: item[1])[:_MAX_ROWS]
        for trial, began in running:
            now.add_row(*self._running_row(trial, began))
        return [best, now]

    def _budget(self) -> float:
        assert self._search is not None
        return max(float(self._bytes_trained), self._search.cost.expected_bytes)

    def _study_row(self, study: Study) -> tuple[str, str, str, str]:
        key = (str(study.stage), study.size.label)
        assert self._search is not None
        done = f"{self._num.get(key, 0)} of {self._search.plan.num_trials}"
        if key not in self._best:
            return study.name, done, "", ""
        score, finished = self._best[key]
        factors = " ".join(
            f"{_FACTORS[name]}×{factor:.2g}" for name, factor in finished.trial.factors.items()
        )
        return study.name, done, _percent(score), factors

    def _running_row(self, trial: Trial, began: float) -> tuple[str, str, str, str]:
        report = self._reports.get(trial.trial_id)
        return (
            _name(trial),
            f"{approximate_bytes(report[0])}" if report else "",
            f"{report[1] / math.log(2):.3f}" if report else "",
            duration(time.monotonic() - began),
        )


def _name(trial: Trial) -> str:
    return f"{trial.kind} {trial.stage} {trial.languages} {trial.size.label} #{trial.number}"


def _percent(score: float) -> str:
    """Change of the loss against the original recipe, including the price of the budget."""
    return f"{math.expm1(score):+.1%}" if math.isfinite(score) else "diverged"


def _columns(*names: str) -> Table:
    table = plain_table()
    for name in names:
        table.add_column(name, no_wrap=True)
    return table
