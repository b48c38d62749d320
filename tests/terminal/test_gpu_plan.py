"""What `raydt plan` says of GPUs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from raydt.commands.plan import show
from raydt.config import machine
from raydt.config.cluster_file import read_cluster_gpus
from raydt.config.machine import gpu_here
from raydt.config.sweep import Sweep
from raydt.grid.cost import with_gpu
from raydt.grid.ledger import cell_folder
from raydt.grid.result import write_result
from raydt.terminal.plan import show_plan
from tests.grid.results import result_of
from tests.sweep_words import problems


def shown(sweep: Sweep, gpus_of_cluster: int | None = None) -> str:
    out = io.StringIO()
    show_plan(sweep, Console(file=out, width=400, highlight=False), False, gpus_of_cluster)
    return out.getvalue()


def test_time_and_cost_are_of_the_gpus_of_the_cluster_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(root)
    sweep = Sweep(storage=str(tmp_path), gpus_per_cell=0.25, name="x")
    assert show(sweep, every_cell=False) == 0
    told = capsys.readouterr().out
    assert "with 32 at a time on 8 L4, or " in told
    assert "GPU-hours of L4 ($" in told
    assert "an MFU of 24% of the 121 TFLOP/s of L4's data sheet" in told
    assert "Disk: at most" in told
    # What is said goes before what is found.
    assert show(sweep.model_copy(update={"gpu": "H100"}), every_cell=False) == 0
    assert "of H100 ($" in capsys.readouterr().out


def test_a_machine_with_gpus_is_planned_for_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "0000:00").mkdir()
    (tmp_path / "0000:00" / "information").write_text(
        "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   	 40\n"
    )
    monkeypatch.setattr(machine, "_DRIVER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine._num_installed.cache_clear()
    assert with_gpu(Sweep(gpus_per_cell=1), gpu_here()).gpu == "A100"
    assert with_gpu(Sweep(gpus_per_cell=1, gpu="L4"), gpu_here()).gpu == "L4"
    cluster = read_cluster_gpus(root / "cluster.yaml")
    assert cluster is not None
    assert with_gpu(Sweep(gpus_per_cell=1), cluster.gpu).gpu == "L4"
    machine._num_installed.cache_clear()


def test_once_cells_are_done_their_mfu_is_told(tmp_path: Path) -> None:
    sweep = Sweep(storage=str(tmp_path), gpus_per_cell=1, gpu="L4", name="x")
    cell_id = "scratch/alba/2k/nano/s0"
    result = result_of(
        cell_id, gpu="NVIDIA L4", gpus_per_rank=1.0, bytes_seen=10**9, training_seconds=10.0
    )
    assert "an MFU of 24%" in shown(sweep)
    write_result(cell_folder(sweep, cell_id), "result.json", result)
    told = shown(sweep)
    assert "measured on cells of this sweep (GFLOP/s per slot: nano " in told
    assert ", MFU " in told
    # Of a part of a GPU there is none.
    quarter = result.model_copy(update={"gpus_per_rank": 0.25})
    write_result(cell_folder(sweep, cell_id), "result.json", quarter)
    shared = shown(sweep.model_copy(update={"gpus_per_cell": 0.25}))
    assert "measured on cells of this sweep (GFLOP/s per slot: nano " in shared
    assert ", MFU " not in shared


def test_a_gpu_that_nobody_knows_is_refused() -> None:
    (problem,) = problems("--gpu", "H1000")
    assert problem.startswith("gpu: expected one of L4, A10G, L40S, A100, H100")
