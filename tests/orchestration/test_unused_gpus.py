"""A sweep that asks for no GPU stays on the CPU, and a launch says so where there is one."""

from __future__ import annotations

import pytest

from raydt.config.sweep import Sweep
from raydt.orchestration import start
from raydt.orchestration.start import unused_gpus


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
