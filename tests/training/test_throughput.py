from __future__ import annotations

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training import cell
from raydt.training.loop import Report, Splits, TrainConfig, train
from raydt.training.outcome import Outcome
from raydt.training.throughput import peak_flops_per_second

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
TEN_STEPS = Recipe(budget_bytes="2560", budget_at_bytes="4k", max_batch_windows=8, min_steps=1)
CONFIG = TrainConfig(TINY, TEN_STEPS, size_bytes=2_000, evaluations=2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    torch.set_num_threads(1)
    return Splits(*(generate("alba", split, 2_000, 0) for split in ("train", "val", "test")))


def reports_of(splits: Splits) -> tuple[list[Report], Outcome]:
    reports: list[Report] = []
    outcome = train(CONFIG, splits, report=reports.append)
    assert len(reports) == 2
    return reports, outcome


def test_every_report_has_the_bytes_a_second_of_its_own_steps(splits: Splits) -> None:
    reports, outcome = reports_of(splits)
    seen, seconds = 0, 0.0
    for report in reports:
        assert report.bytes_per_second is not None
        seconds += (report.bytes_seen - seen) / report.bytes_per_second
        seen = report.bytes_seen
    assert seconds == pytest.approx(outcome.training_seconds)


def test_mfu_is_the_share_of_the_rate_of_large_products(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak = 5e11  # as if there were a GPU
    monkeypatch.setattr(cell, "peak_flops_per_second", lambda device, bfloat16: peak)
    for report in reports_of(splits)[0]:
        assert report.bytes_per_second is not None
        assert report.mfu == report.bytes_per_second * TINY.training_flops_per_byte / peak


def test_a_cpu_has_none(splits: Splits) -> None:
    assert peak_flops_per_second(torch.device("cpu"), bfloat16=True) is None
    assert [report.mfu for report in reports_of(splits)[0]] == [None, None]
