"""Trials that are shorter than the start of a process, as a program: `short_trials.py FOLDER
AT_A_TIME`. Each process that has run one leaves a file in FOLDER."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from raydt.orchestration.cluster.runtime import ray_started

NUM_SLOTS = 3
NUM_TRIALS = 100


def short_trial(config: dict) -> None:
    """Ends at once when every slot has a process, else much sooner than one starts."""
    folder = Path(config["folder"])
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) < NUM_SLOTS:
        time.sleep(0.2)


def main(folder: str, at_a_time: int) -> None:
    with (
        tempfile.TemporaryDirectory() as own,
        ray_started(NUM_SLOTS, cpus_per_cell=1, gpus_per_cell=0),
    ):
        from ray import tune

        from raydt.orchestration.cluster.ray_private import no_progress_reporter, patient_scheduler

        results = tune.Tuner(
            tune.with_resources(short_trial, {"CPU": 1}),
            param_space={"folder": folder},
            tune_config=tune.TuneConfig(
                scheduler=patient_scheduler(),
                num_samples=NUM_TRIALS,
                max_concurrent_trials=at_a_time,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=own, callbacks=[no_progress_reporter()], verbose=0
            ),
        ).fit()
        assert results.num_errors == 0
        assert len(results) == NUM_TRIALS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
