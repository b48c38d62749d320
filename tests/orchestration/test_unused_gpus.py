"""A sweep that asks for no GPU stays on the CPU, and a launch says so where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.sweep import Sweep
from raydt.orchestration import start
from raydt.orchestration.start import shared_gpus, unused_gpus


@pytest.mark.parametrize(
    ("num", "asked", "said"), [(0, 0, ""), (1, 0, "a GPU"), (4, 0, "4 GPUs"), (4, 0.5, "")]
)
def test_gpus_that_nobody_asked_for(
    num: int, asked: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(start, "num_gpus", lambda: num)
    text = unused_gpus(Sweep.model_validate({"gpus_per_cell": asked}))
    assert bool(text) == bool(said)
    assert said in text
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert unused_gpus(Sweep.model_validate({"gpus_per_cell": asked})) == ""


def test_whether_cells_on_one_gpu_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    quarter = Sweep.model_validate({"gpus_per_cell": 0.25})
    assert "MPS is off (`nvidia-cuda-mps-control -d` starts it" in shared_gpus(quarter)
    (tmp_path / "control").touch()
    assert "MPS is on" in shared_gpus(quarter)
    for asked in (0, 1):
        assert shared_gpus(Sweep.model_validate({"gpus_per_cell": asked})) == ""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert "on nodes where NVIDIA's MPS was started before Ray" in shared_gpus(quarter)
    for asked in (0, 1):
        assert shared_gpus(Sweep.model_validate({"gpus_per_cell": asked})) == ""
