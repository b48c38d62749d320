from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.training import cell, throughput
from raydt.training.loop import Report, Splits, TrainConfig, train
from raydt.training.outcome import Outcome
from raydt.training.throughput import Peaks, peak_flops_per_second, peaks_of

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


def test_mfu_is_the_share_of_the_data_sheet_and_apart_from_it_of_large_products(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if there were a GPU.
    monkeypatch.setattr(cell, "peaks_of", lambda device, bfloat16: Peaks(9e11, 5e11))
    for report in reports_of(splits)[0]:
        assert report.bytes_per_second is not None
        flops_per_second = report.bytes_per_second * TINY.training_flops_per_byte
        assert report.mfu == flops_per_second / 9e11
        assert report.mfu_of_matmul == flops_per_second / 5e11


def test_a_cpu_has_none(splits: Splits) -> None:
    assert peaks_of(torch.device("cpu"), bfloat16=True) == Peaks()
    assert peak_flops_per_second(torch.device("cpu"), bfloat16=True) is None
    reports = reports_of(splits)[0]
    assert [(report.mfu, report.mfu_of_matmul) for report in reports] == [(None, None)] * 2


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[torch.device]:
    """A GPU as torch would describe it, on a node of its own."""
    monkeypatch.setattr(throughput, "has_whole_gpu", lambda _: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="5c89"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    peak_flops_per_second.cache_clear()
    yield torch.device("cuda", 0)
    peak_flops_per_second.cache_clear()


def test_of_a_part_of_a_gpu_nothing_is_measured(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "has_whole_gpu", lambda _: False)
    monkeypatch.setattr(throughput, "_measure", lambda *_: pytest.fail("among neighbours"))
    assert peaks_of(gpu, bfloat16=True) == Peaks()


def test_products_are_measured_once_per_node(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured: list[bool] = []

    def measure(device: torch.device, bfloat16: bool) -> float:
        measured.append(bfloat16)
        return 6e13

    monkeypatch.setattr(throughput, "_measure", measure)
    for _ in range(3):
        assert peaks_of(gpu, bfloat16=True) == Peaks(data_sheet=121e12, matmul=6e13)
        peak_flops_per_second.cache_clear()  # as in another process of the node
    assert measured == [True]
    # No data sheet of ours is about float32.
    assert peaks_of(gpu, bfloat16=False) == Peaks(data_sheet=None, matmul=6e13)
    assert measured == [True, False]
    # After a boot clocks and power may be others; and a file may be torn.
    (file,) = tmp_path.rglob("*-bfloat16.json")
    for text in (file.read_text().replace('"boot": "', '"boot": "x'), '{"boot"'):
        file.write_text(text)
        peak_flops_per_second.cache_clear()
        assert peaks_of(gpu, bfloat16=True).matmul == 6e13
    assert measured == [True, False, True, True]


def test_without_a_place_for_a_file_every_process_measures(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr(throughput, "_measure", lambda *_: 6e13)
    assert peaks_of(gpu, bfloat16=True).matmul == 6e13
