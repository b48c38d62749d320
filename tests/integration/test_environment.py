"""What workers need is set where they are: on a real head that was started without it, by a driver
that has not set it either."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raydt.orchestration.cluster.runtime import WORKER_ENVIRONMENT
from tests.cluster.local import cluster
from tests.integration.tiny import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PROBE = ROOT / "tests" / "cluster" / "probe_worker.py"
# Ray's own, which it sets to the cores of an actor where nobody has.
OF_RAY = {"OMP_NUM_THREADS"}


def test_workers_have_their_environment_whatever_head_and_driver_have(tmp_path: Path) -> None:
    names = sorted(WORKER_ENVIRONMENT)
    without = {*names, "RAY_USAGE_STATS_ENABLED"}
    # A GPU that Ray believes in: a task that asks for none trains on the CPU all the same.
    with cluster(2, num_gpus=1, without=without) as here:
        assert not without & here.environment.keys()
        probe = subprocess.run(
            [sys.executable, str(PROBE), here.gcs_address, str(tmp_path), *names],
            env={**here.environment, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert probe.returncode == 0, probe.stderr
    found = json.loads(probe.stdout.splitlines()[-1])
    assert found.keys() == {"0", "1"}, "in a trial's own process, and in a group"
    # A group's worker has them from its own set-up, and from the trial by way of Ray Train.
    for environment in found.values():
        assert environment.pop("device") == "cpu"
        assert environment.keys() == WORKER_ENVIRONMENT.keys()
        for name, value in environment.items():
            assert value == "1" if name in OF_RAY else value == WORKER_ENVIRONMENT[name], name
