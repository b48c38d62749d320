"""Nothing that only Linux has is needed to plan, train and analyze: it is taken away.

This stands for a Mac and is none: Ray, torch and psutil are their builds for Linux.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.integration.tiny import ROOT
from tests.program import output_of

ONE_PAIR = (
    "--sources related --targets alba --sizes 2k 8k --seeds 0 --pretrain-size 20k "
    "--protocol.pretrain.epochs 1 --protocol.scratch.epochs 3 --protocol.finetune.epochs 3 "
    "--protocol.val-bytes 2k --protocol.test-bytes 4k --name tiny"
).split()
TAKEN_AWAY = """
import os, resource, select, signal
from pathlib import Path
import psutil

assert not hasattr(os, "sched_getaffinity") and not hasattr(os, "posix_fadvise")
assert not Path("/proc/self/mounts").exists()

from raydt.config.machine import num_gpus
from raydt.cpu.heap import keep_freed_memory
from raydt.cpus import num_cpus
from raydt.grid.lease import _this_machine
from raydt.storage.disks import is_on_network, local_disk

assert num_cpus() == os.cpu_count(), num_cpus()
assert num_gpus() == 0
assert keep_freed_memory() is False
assert len(_this_machine().split("/")) == 2, _this_machine()  # its name and its network card
assert not is_on_network(Path("/"))
assert local_disk(1) is not None
print(psutil.Process().memory_info().rss)  # what is not ours still finds its /proc
"""


def run(*words: str, folder: Path) -> str:
    """The output of Python without what only Linux has."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    own = {"PYTHONPATH": f"{Path(__file__).parent}:{ROOT}", "CUDA_VISIBLE_DEVICES": ""}
    return output_of([sys.executable, *words], folder, given | own)


def test_what_asks_the_machine_has_an_answer_without_linux(tmp_path: Path) -> None:
    assert int(run("-c", TAKEN_AWAY, folder=tmp_path)) > 0


def test_the_paths_of_sockets_are_shorter_on_macos(tmp_path: Path) -> None:
    """Ray refuses one of more than 103 bytes there."""
    program = (
        "import os, tempfile, sys, raydt.errors, raydt.orchestration.cluster\n"
        "sys.platform = 'darwin'\n"
        "from raydt.orchestration.cluster.temporary import MAX_CHARACTERS\n"
        "session = '/session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store'\n"
        "print(MAX_CHARACTERS + len(session))\n"
    )
    assert int(run("-c", program, folder=tmp_path)) <= 103


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_pair_is_planned_trained_and_analyzed_without_linux(tmp_path: Path) -> None:
    storage = ["--storage", str(tmp_path / "runs")]
    planned = run("-m", "raydt", "plan", *ONE_PAIR, *storage, folder=tmp_path)
    assert "to do" in planned
    launched = run("-m", "raydt", "run", *ONE_PAIR, *storage, folder=tmp_path)
    assert "cells done" in launched
    analyzed = run("-m", "raydt", "analyze", *storage, folder=tmp_path)
    assert "D_T into alba" in analyzed
    assert (tmp_path / "runs" / "tiny" / "report" / "report.html").exists()
