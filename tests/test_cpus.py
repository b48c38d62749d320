"""Slots are what the process may use, and not what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raydt import cpus
from raydt.cpus import num_cpus


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight cores whose process is in the cgroup /job/step."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cpus, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cpus, "_CGROUP_OF_PROCESS", tmp_path / "cgroup")
    for name in (*cpus._GIVEN, *cpus._GIVEN.values()):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "job" / "step").mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    return tmp_path


def test_all_cores_where_nothing_limits_them(cgroups: Path) -> None:
    assert num_cpus() == 8
    (cgroups / "job" / "cpu.max").write_text("max 100000\n")
    assert num_cpus() == 8
    (cgroups / "cgroup").unlink()
    assert num_cpus() == 8


@pytest.mark.parametrize(
    ("place", "quota", "cpus"),
    [
        ("job/step", "200000 100000", 2),
        ("job", "350000 100000", 3),
        ("", "50000 100000", 1),
        ("job", "odd", 8),
    ],
)
def test_the_quota_of_a_cgroup_or_one_above_it(
    cgroups: Path, place: str, quota: str, cpus: int
) -> None:
    (cgroups / place / "cpu.max").write_text(f"{quota}\n")
    assert num_cpus() == cpus


def test_the_quota_of_version_1(cgroups: Path) -> None:
    folder = cgroups / "cpu" / "job"
    folder.mkdir(parents=True)
    (cgroups / "cgroup").write_text("4:memory:/x\n3:cpu,cpuacct:/job\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert num_cpus() == 8
    (folder / "cpu.cfs_quota_us").write_text("250000\n")
    assert num_cpus() == 2


@pytest.mark.parametrize(
    ("cores", "job"),
    [
        ("SLURM_CPUS_PER_TASK", "SLURM_JOB_ID"),
        ("NCPUS", "PBS_JOBID"),
        ("LSB_DJOB_NUMPROC", "LSB_JOBID"),
        ("NSLOTS", "JOB_ID"),
    ],
)
def test_what_a_scheduler_gave_a_job(
    cgroups: Path, monkeypatch: pytest.MonkeyPatch, cores: str, job: str
) -> None:
    monkeypatch.setenv(cores, "3")
    assert num_cpus() == 8  # left over from somewhere: no job
    monkeypatch.setenv(job, "7")
    assert num_cpus() == 3
    monkeypatch.setenv(cores, "16")
    assert num_cpus() == 8


def test_a_process_on_one_core_has_one_slot() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from raydt.cpus import num_cpus; print(num_cpus())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
