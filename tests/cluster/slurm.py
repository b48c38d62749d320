"""A real SLURM for a test: see slurm_machine.sh. Nothing of it is outside of its namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MACHINE = Path(__file__).parent / "slurm_machine.sh"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged", "unshare", "nsenter", "ip", "pgrep")
OWN_MACHINE = "unshare --pid --fork --mount-proc --mount --net --uts --kill-child".split()
START_SECONDS = 60.0  # a loaded machine takes its time; nothing here is timed
NODES = ("n1", "n2")
CPUS = 2  # of a node, as SLURM believes
MEMORY_MIB = 1000
HOSTS = "127.0.0.1 localhost\n10.213.7.1 login\n10.213.7.11 n1\n10.213.7.12 n2\n"
# No cgroups; credentials that run out soon, as a job that was requeued waits for that; nodes of two
# cores and a GPU that is none, and memory of which a job has little unless it requests more.
CONF = """\
ClusterName=lab
SlurmctldHost=login(10.213.7.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=10
ReturnToService=1
JobRequeue=1
KillWait=5
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdLogFile={folder}/%n.log
SlurmctldLogFile={folder}/slurmctld.log
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
NodeName=n1 NodeHostname=n1 NodeAddr=10.213.7.11
NodeName=n2 NodeHostname=n2 NodeAddr=10.213.7.12
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@dataclass(frozen=True)
class Slurm:
    """A running SLURM; its commands are run on the machine called `login`, which trains nothing."""

    pid: int  # of the first process of the login machine
    folder: Path
    shared: Path  # what all machines see

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A command on the login machine, as a user there would type it."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "SLURM_", "PYTEST_"))
        }
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--all", f"--wd={cwd or self.shared}", *words],
            env={
                **environment,
                "HOME": str(self.shared),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
                "PYTHONPATH": str(ROOT),
                "SLURM_CONF": str(self.folder / "slurm.conf"),
                "OMP_NUM_THREADS": "1",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            capture_output=True,
            text=True,
            timeout=280,
        )

    def said(self, *words: str) -> str:
        """What a command printed; an error of it is the test's."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Of a job, as SLURM names it."""
        return dict(
            word.partition("=")[::2] for word in self.said("scontrol", "show", "job", job).split()
        )["JobState"]

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 400.0) -> None:
        """Wait for `condition`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"expected {what}, got\n{self.logs()}"
            time.sleep(0.3)

    def logs(self) -> str:
        """The ends of all logs."""
        paths = [
            *self.folder.glob("*.log"),
            *self.folder.glob("*.out"),
            *self.shared.rglob("*.log"),
        ]
        return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-3000:]}" for path in paths)


@contextmanager
def slurm() -> Iterator[Slurm]:
    """Two nodes and a login machine, for the time of the block; skips where that cannot be had."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    if missing:
        pytest.skip(f"no {missing[0]} on this machine: apt-get install slurm-wlm munge iproute2")
    if os.geteuid() != 0:
        pytest.skip("needs root, for two machines on one: namespaces of network and processes")
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    folder.chmod(0o755)
    shared = folder / "shared"
    shared.mkdir()
    (folder / "state").mkdir()
    (folder / "hosts").write_text(HOSTS)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    (folder / "gpu").touch()
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, cpus=CPUS, memory=MEMORY_MIB))
    (folder / "gres.conf").write_text("NodeName=n[1-2] Name=gpu Count=1 File=/dev/null\n")
    visible = {str(p) for p in (folder, ROOT, Path(sys.prefix)) if p.is_relative_to("/tmp")}
    process = subprocess.Popen(
        [*OWN_MACHINE, "bash", str(MACHINE), str(folder), *sorted(visible)],
        env={**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")},
        stdin=subprocess.DEVNULL,
        stdout=(folder / "machine.out").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (folder / "ready").exists():
            said = (folder / "machine.out").read_text()
            if process.poll() is not None and "not permitted" in said:
                pytest.skip(f"this machine allows no namespaces: {said.splitlines()[-1]}")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        here = Slurm(int(first), folder, shared)
        here.until(
            lambda: here.run("sinfo", "-h", "-o", "%T %D").stdout.split() == ["idle", "2"],
            "two idle nodes",
        )
        yield here
    finally:
        process.send_signal(signal.SIGKILL)  # and the kernel all that is in its process table
        process.wait()
        _gone(folder)


def _gone(folder: Path) -> None:
    """Remove the folder, which processes that are being ended may still write to."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
