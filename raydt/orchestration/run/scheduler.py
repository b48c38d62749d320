"""A Tune scheduler that lets a process which is starting start."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from raydt.orchestration.run.searcher import LivesInDriver


class PatientScheduler(LivesInDriver, FIFOScheduler):  # type: ignore[misc]
    """First come, first served; but a trial whose own process is starting waits for that one.

    Tune's own gives a process that is free to the trial that has waited longest, and ends the one
    that starts for it. Where trials are shorter than the start of a process, no other slot and no
    other node ever gets one.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The trial that a free process is for; None: there is none, or Tune is to ask for more."""
        # What runs where is nobody's business but Tune's, so there is no public way to ask.
        actors, manager = tune_controller._trial_to_actor, tune_controller._actor_manager
        for trial in tune_controller.get_trials():
            if trial.status == Trial.PENDING:
                actor = actors.get(trial)
                if actor is None or not manager.is_actor_started(actor):
                    return trial
        return None
