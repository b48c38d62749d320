"""Scores and early stopping of trials, against the baseline of the same language and size."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite

from raydt.tuning.halving import Halving
from raydt.tuning.plan import SearchPlan, Study
from raydt.tuning.rungs import is_stopped, rungs_passed, standing_at
from raydt.tuning.score import Curve, ended_score, score, standing
from raydt.tuning.space import BUDGET
from raydt.tuning.trial import End, Finished, Kind, Trial
from raydt.tuning.trials import TrialRecord


class Compared:
    """The trials of a search whose baselines are in its record."""

    def __init__(self, plan: SearchPlan, record: TrialRecord) -> None:
        self._plan = plan
        self._record = record
        self._curves: dict[str, Curve] = {}  # of running trials without a fixed budget
        self._halvings: dict[Study, Halving] = {}

    def study_of(self, trial: Trial) -> Study:
        """The study of a trial."""
        return next(s for s in self._plan.studies(trial.stage) if s.size == trial.size)

    def score(self, finished: Finished) -> float:
        """The score of a trial; infinite if it diverged. For a trial without a fixed budget that
        was stopped early: how far it was behind at the bytes that it had seen."""
        trial, baseline = finished.trial, self._baseline(finished.trial)
        if not isfinite(finished.best_val_loss) or not baseline.val_losses:
            return inf
        if not self._plan.ends_by_itself(trial.stage):
            return _score_of_budget(trial, finished.val_losses, baseline)
        if finished.end is End.STOPPED:
            return standing(finished.val_losses, baseline.val_losses, finished.bytes_seen)
        if not isfinite(baseline.best_val_loss):
            return inf
        return ended_score(
            finished.best_val_loss,
            finished.bytes_seen,
            baseline.best_val_loss,
            baseline.bytes_seen,
            self._plan.price(trial.stage),
        )

    def stopped_after(self, finished: Finished) -> int | None:
        """The rungs or evaluations that a stopped trial reached; None if it was not stopped."""
        if finished.end is not End.STOPPED:
            return None
        if self._plan.ends_by_itself(finished.trial.stage):
            return rungs_passed(finished.val_losses, self._baseline(finished.trial))
        return len(finished.val_losses)

    def is_stopped(
        self, trial: Trial, curve: Curve, finished: Iterable[Finished], running: Iterable[Trial]
    ) -> bool:
        """Whether a running trial (a `Kind.TRIAL`) is stopped after the last evaluation of its
        `curve`: with a fixed budget by halving (`raydt.tuning.halving`), else at rungs
        (`raydt.tuning.rungs`). Call it after every evaluation. `finished` are the trials of its
        study, `running` all running trials."""
        baseline, study = self._baseline(trial), self.study_of(trial)
        if not self._plan.ends_by_itself(trial.stage):
            if not baseline.val_losses:
                return False  # no baseline to compare with
            if study not in self._halvings:
                self._halvings[study] = Halving(self._plan.sweep.protocol.evaluations)
            now = _score_of_budget(trial, curve, baseline)
            return self._halvings[study].is_stopped(trial.trial_id, len(curve), now)
        self._curves[trial.trial_id] = curve
        number = rungs_passed(curve, baseline)
        if not isfinite(baseline.best_val_loss) or number == rungs_passed(curve[:-1], baseline):
            return False
        ended = [(each.trial, each.val_losses, each.end) for each in finished]
        still_running = [
            (other, self._curves[other.trial_id], None)
            for other in running
            if other.trial_id in self._curves
            and other.trial_id != trial.trial_id
            and self.study_of(other) == study
        ]
        others = [
            standing_at(number, losses, end, self._baseline(other))
            for other, losses, end in (*ended, *still_running)
        ]
        known = [each for each in others if each is not None]
        return is_stopped(number, curve, known, baseline, self._plan.price(trial.stage))

    def forget(self, trial: Trial) -> None:
        """Drop the curve of a trial that no longer runs."""
        self._curves.pop(trial.trial_id, None)

    def _baseline(self, trial: Trial) -> Finished:
        key = _where(trial)
        for finished in self._record.finished.values():
            if finished.trial.kind is Kind.BASELINE and _where(finished.trial) == key:
                return finished
        raise AssertionError(f"{trial.trial_id} has no baseline")


def _score_of_budget(trial: Trial, curve: Curve, baseline: Finished) -> float:
    losses, there = ([loss for _, loss in each] for each in (curve, baseline.val_losses))
    return score(losses, there, trial.factors.get(BUDGET.name, 1.0))


def _where(trial: Trial) -> tuple[object, ...]:
    return trial.stage, trial.source, trial.target, trial.size, trial.origin
