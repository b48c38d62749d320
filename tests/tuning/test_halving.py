"""Halving of trials with a fixed budget stops whom Ray Tune's ASHA stops, which it takes after."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler

from raydt.tuning.halving import Halving


def test_the_worse_half_of_those_that_came_before_ends_halfway() -> None:
    halving = Halving(8)
    assert not halving.is_stopped("a", 4, 0.0), "it has nobody to be compared with"
    assert not halving.is_stopped("b", 3, 0.1), "no rung"
    assert halving.is_stopped("b", 4, 0.1)
    assert not halving.is_stopped("c", 4, -0.1)
    assert not halving.is_stopped("c", 5, 9.0), "no rung"


@pytest.mark.parametrize("evaluations", [1, 2, 3, 5, 8, 13, 20])
def test_it_decides_as_rays_asha(evaluations: int) -> None:
    random = np.random.default_rng(evaluations)
    ours = Halving(evaluations)
    rays = ASHAScheduler(
        time_attr="evaluations",
        metric="score",
        mode="min",
        max_t=evaluations,
        grace_period=max(1, evaluations // 2),
        reduction_factor=2,
        stop_last_trials=False,
    )
    trials = [SimpleNamespace(trial_id=str(number)) for number in range(40)]
    for trial in trials:
        rays.on_trial_add(None, trial)
    # All run at once, in an order of their own; each until it is stopped or at its end.
    at = dict.fromkeys((trial.trial_id for trial in trials), 0)
    num_stopped = 0
    while at:
        trial = trials[int(random.choice([int(name) for name in at]))]
        at[trial.trial_id] += 1
        now, score = at[trial.trial_id], float(random.normal())
        said = rays.on_trial_result(None, trial, {"evaluations": now, "score": score})
        assert ours.is_stopped(trial.trial_id, now, score) == (said == "STOP")
        num_stopped += said == "STOP"
        if said == "STOP" or now == evaluations:
            del at[trial.trial_id]
    assert 0 < num_stopped < len(trials)
