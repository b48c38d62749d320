from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from raydt.training import process

# In a process of its own: what is set up is set up for good. torch fills arrays without values with
# NaN, if it is told to.
TRAINED = """
import sys, torch
from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training.loop import Splits, TrainConfig, train
from raydt.training.process import set_up_process
set_up_process(1)
assert torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1
assert not torch.utils.deterministic.fill_uninitialized_memory
splits = Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))
for family, conv_bytes in (("default", 4), ("paper", 1)):
    model = ModelConfig(width=32, num_layers=2, num_heads=2, hidden=64, window_bytes=150,
                        family=family, conv_bytes=conv_bytes)
    for precision in ("float32", "bfloat16"):
        ends = []
        for fill in (False, True):
            torch.utils.deterministic.fill_uninitialized_memory = fill
            recipe = Recipe(budget_bytes="4k", min_steps=4, precision=precision)
            ends.append(train(TrainConfig(model, recipe, 2_000, evaluations=2), splits))
        a, b = ends
        assert a.test_loss == b.test_loss and a.status == "done"
        assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
        print(family, precision, a.test_loss)
"""


def test_nothing_is_read_before_it_is_written() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is asked of CUDA, whose GPU here has 24 GB; the process stays as it is."""
    asked: list[tuple[object, ...]] = []
    for name in ("set_device", "set_per_process_memory_fraction", "empty_cache"):
        monkeypatch.setattr(
            torch.cuda, name, lambda *words, name=name: asked.append((name, *words))
        )
    properties = SimpleNamespace(total_memory=24 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda _: None)
    monkeypatch.setattr(process, "keep_freed_memory", lambda: None)
    return asked


def test_a_process_on_a_cpu_asks_nothing_of_cuda(calls: list[tuple[object, ...]]) -> None:
    process.set_up_process(1)
    process.release_memory(torch.device("cpu"))
    assert calls == []
    assert not process.has_whole_gpu(torch.device("cpu"))


def test_what_names_no_gpu_goes_to_that_of_the_task(calls: list[tuple[object, ...]]) -> None:
    gpu = torch.device("cuda", 1)
    process.set_up_process(1, gpu)
    assert calls == [("set_device", gpu), ("set_per_process_memory_fraction", 1.0, gpu)]


@pytest.mark.parametrize(
    ("share", "gigabytes"),
    [
        (0.25, 5.4),  # a quarter of 24, less what CUDA takes in each of four processes
        (1 / 16, 0.9),
        (0.02, 0.24),  # never less than half of the share
    ],
)
def test_a_process_on_a_share_of_a_gpu_takes_no_more_memory_than_that(
    share: float, gigabytes: float, calls: list[tuple[object, ...]]
) -> None:
    process.set_up_process(1, torch.device("cuda", 0), share)
    (fraction,) = [words[1] for words in calls if words[0] == "set_per_process_memory_fraction"]
    assert fraction == pytest.approx(gigabytes / 24)


def test_a_gpu_that_is_shared_is_no_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    for fraction in (1.0, 0.24):
        monkeypatch.setattr(
            torch.cuda, "get_per_process_memory_fraction", lambda _, fraction=fraction: fraction
        )
        assert process.has_whole_gpu(gpu) == (fraction == 1)


def test_memory_is_returned_between_cells(calls: list[tuple[object, ...]]) -> None:
    process.release_memory(torch.device("cuda", 0))
    assert calls == [("empty_cache",)]
