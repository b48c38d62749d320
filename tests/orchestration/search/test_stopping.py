"""Whom the scheduler of a search asks, without Ray running."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from raydt.orchestration.search.stopping import StopsByStudy
from raydt.orchestration.search.trial import EVALUATIONS, SCORE
from raydt.tuning.score import Curve

TRIAL = SimpleNamespace(trial_id="7", config={"task": {"study": "scratch 2000"}})


def test_a_trial_without_a_score_is_asked_about_until_its_end() -> None:
    asked: list[tuple[str, Curve]] = []

    def is_stopped(trial_id: str, curve: Curve) -> bool:
        asked.append((trial_id, curve))
        return len(curve) == 2

    scheduler = StopsByStudy(8, is_stopped)
    first, second = [(10, 2.0)], [(10, 2.0), (20, 1.5)]
    results: list[dict[str, Any]] = [
        {"val_losses": first},
        {"val_losses": second},
        {"val_losses": second, "ended": "done"},
    ]
    said = [scheduler.on_trial_result(None, TRIAL, result) for result in results]
    assert said == ["CONTINUE", "STOP", "CONTINUE"]
    assert asked == [("7", first), ("7", second)]


def test_a_trial_with_a_score_is_ashas() -> None:
    def is_stopped(trial_id: str, curve: Curve) -> bool:
        raise AssertionError("it has a score")

    scheduler = StopsByStudy(8, is_stopped)
    trials = [
        SimpleNamespace(trial_id=str(number), config=TRIAL.config, is_finished=lambda: False)
        for number in range(3)
    ]
    for trial in trials:
        scheduler.on_trial_add(None, trial)

    def said(trial: Any, evaluations: int, score: float) -> str:
        row = {EVALUATIONS: evaluations, SCORE: score, "val_losses": [(10, 2.0)]}
        return scheduler.on_trial_result(None, trial, row)

    assert said(trials[0], 4, 0.0) == "CONTINUE"
    assert said(trials[1], 3, 0.1) == "CONTINUE"
    assert said(trials[1], 4, 0.1) == "STOP"
    assert said(trials[2], 4, -0.1) == "CONTINUE"
