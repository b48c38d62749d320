"""Every byte once, with what is before it: for any stride and any number at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydt.config.model import MODELS, ModelConfig
from raydt.config.protocol import forwarded_bytes
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import EvaluationWindows
from raydt.model.decoder import Decoder
from raydt.model.families import new_decoder
from raydt.training.evaluate import Evaluator, byte_losses
from raydt.training.precision import Precision

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=16)


@pytest.fixture(scope="module")
def model() -> Decoder:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    torch.nn.init.normal_(model.blocks[0].attention_out.weight, std=0.5)
    return model


def by_hand(model: Decoder, data: np.ndarray, index: int, context: int) -> float:
    """The loss of one byte from `context` bytes before it, separators before the text."""
    before = np.concatenate([np.zeros(16, np.uint8), data[:index]])[-context:]
    with torch.no_grad():
        logits = model(torch.from_numpy(before.astype(np.int64))[None])[0, -1]
    return float(-logits.log_softmax(-1)[int(data[index])])


@pytest.mark.parametrize("num_bytes", [1, 15, 16, 17, 40, 64, 101])
@pytest.mark.parametrize("stride", [1, 3, 8, 16, 99])
def test_windows_have_each_byte_once_and_cost_what_the_formula_says(
    num_bytes: int, stride: int
) -> None:
    data = np.arange(1, num_bytes + 1, dtype=np.uint8)
    windows = EvaluationWindows(data, 16, stride)
    batch = windows.rows(0, len(windows))
    targets = [
        row[1:][ignored:] for row, ignored in zip(batch.windows, batch.num_ignored, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(targets), data)
    assert batch.windows.shape == (len(windows), 17)
    assert len(windows) * 16 == forwarded_bytes(num_bytes, 16, stride)
    # Piece by piece they are the same rows.
    pieces = [
        windows.rows(start, min(start + 3, len(windows))) for start in range(0, len(windows), 3)
    ]
    np.testing.assert_array_equal(np.concatenate([p.windows for p in pieces]), batch.windows)


def test_a_stride_of_one_gives_every_byte_all_its_context(model: Decoder) -> None:
    data = generate("alba", "test", 60, 0)
    losses = Evaluator(stride_bytes=1, precision="float32").byte_losses(model, data)
    expected = [by_hand(model, data, i, 16 if i >= 16 else i + 1) for i in range(60)]
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)


def test_a_stride_gives_at_least_a_window_less_the_stride(model: Decoder) -> None:
    data = generate("alba", "test", 60, 0)
    losses = Evaluator(stride_bytes=4, precision="float32").byte_losses(model, data)
    # Row k has the targets 16 + 4 (k - 1) and the three after it, with 13 to 16 bytes before them.
    for index in range(16, 60):
        context = 13 + (index - 16) % 4
        assert losses[index] == pytest.approx(by_hand(model, data, index, context), rel=1e-4)


@pytest.mark.parametrize("stride", [None, 5])
@pytest.mark.parametrize("at_once", [1, 16, 48, 10_000])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_any_number_at_once_gives_the_same(
    model: Decoder, stride: int | None, at_once: int, precision: Precision
) -> None:
    data = generate("alba", "test", 500, 0)
    expected = Evaluator(stride, precision=precision).byte_losses(model, data)
    found = Evaluator(stride, at_once, precision).byte_losses(model, data)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_errs_on_both_sides(model: Decoder) -> None:
    """A byte is off by a hundredth, the mean by next to nothing."""
    data = generate("alba", "test", 20_000, 0)
    exact = Evaluator(precision="float32").byte_losses(model, data)
    rounded = Evaluator(precision="bfloat16").byte_losses(model, data)
    error = rounded - exact
    assert 1e-3 < np.abs(error).mean() < 0.05
    assert abs(error.mean()) < 0.05 * np.abs(error).mean()


def test_no_stride_is_a_stride_of_a_window(model: Decoder) -> None:
    data = generate("alba", "test", 100, 0)
    np.testing.assert_array_equal(Evaluator(16).byte_losses(model, data), byte_losses(model, data))


def test_a_gpu_whose_memory_is_short_takes_rows_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = new_decoder(MODELS["nano"])
    torch.nn.init.normal_(model.head.weight, std=0.5)
    data = generate("alba", "val", 2_000, 0)
    whole = Evaluator(precision="float32").byte_losses(model, data)
    rows: list[int] = []
    logits = model.logits

    def of_few(x_BT: torch.Tensor) -> torch.Tensor:
        rows.append(len(x_BT))
        if len(x_BT) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(x_BT)

    monkeypatch.setattr(model, "logits", of_few)
    np.testing.assert_allclose(
        Evaluator(precision="float32").byte_losses(model, data), whole, rtol=1e-5
    )
    assert sum(number for number in rows if number <= 3) == -(-len(data) // 128)


def test_a_row_that_does_not_fit_is_not_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_decoder(MODELS["nano"])

    def nothing_fits(x_BT: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(model, "logits", nothing_fits)
    with pytest.raises(torch.OutOfMemoryError):
        Evaluator().byte_losses(model, generate("alba", "val", 2_000, 0))
