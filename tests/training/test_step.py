"""The gradients of a batch, in one piece and in parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from raydt.config.model import MODELS, ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.corpora.prepared.batches import Batch, WindowBatches
from raydt.errors import RunError
from raydt.model.families import new_decoder
from raydt.training import step
from raydt.training.ranks import Ranks
from raydt.training.step import Gradients

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)


@pytest.fixture
def batch() -> Batch:
    # 250 bytes in 9 rows: two of them with targets that do not count.
    return WindowBatches(generate("alba", "train", 250, 0), 32, 9, seed=0).next_batch()


def gradients(recipe: Recipe, batch: Batch) -> tuple[float, torch.Tensor]:
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    loss = Gradients(model, recipe)(batch).item()
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("at_once", [1, 2, 4, 8])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_parts_add_up_to_the_whole(batch: Batch, at_once: int, z_loss: float) -> None:
    assert batch.num_ignored.any()
    recipe = Recipe(z_loss=z_loss, precision="float32")
    loss, whole = gradients(recipe, batch)
    again, parts = gradients(recipe.model_copy(update={"max_windows_at_once": at_once}), batch)
    assert again == pytest.approx(loss, rel=1e-6)
    assert (parts - whole).norm() < 1e-5 * whole.norm()


def test_enough_at_once_is_the_very_same(batch: Batch) -> None:
    loss, whole = gradients(Recipe(), batch)
    again, parts = gradients(Recipe(max_windows_at_once=9), batch)
    assert (again, True) == (loss, torch.equal(parts, whole))


def test_z_loss_moves_gradients_and_is_not_in_the_loss(batch: Batch) -> None:
    loss, without = gradients(Recipe(), batch)
    again, with_it = gradients(Recipe(z_loss=0.1), batch)
    assert again == pytest.approx(loss, rel=1e-6)
    assert (with_it - without).norm() > 0.01 * without.norm()


def test_z_loss_is_the_square_of_log_z() -> None:
    """Against the formula, on rows of which all targets count."""
    whole = WindowBatches(generate("alba", "train", 320, 0), 32, 1, seed=0)
    batch = next(b for b in (whole.next_batch() for _ in range(20)) if not b.num_ignored.any())
    _, found = gradients(Recipe(z_loss=0.1, precision="float32"), batch)
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    rows = torch.from_numpy(batch.windows).long()
    logits = model(rows[:, :-1]).flatten(0, 1)
    loss = F.cross_entropy(logits, rows[:, 1:].flatten())
    (loss + 0.1 * logits.logsumexp(-1).square().mean()).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_bfloat16_is_close(batch: Batch) -> None:
    loss, whole = gradients(Recipe(precision="float32"), batch)
    again, rounded = gradients(Recipe(precision="bfloat16"), batch)
    assert again == pytest.approx(loss, rel=2e-2)
    assert again != loss
    assert (rounded - whole).norm() < 0.1 * whole.norm()


# Grows what the process may map by 0.3 GB, and asks for a batch that takes more.
TOO_LARGE = """
import resource, torch
from raydt.config.model import MODELS
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.batches import WindowBatches
from raydt.corpora.controlled.catalog import generate
from raydt.errors import BatchTooLargeError
from raydt.model.families import new_decoder
from raydt.training.step import Gradients
torch.set_num_threads(1)
batches = WindowBatches(generate("alba", "train", 100_000, 0), 128, 1024, seed=0)
model = new_decoder(MODELS["nano"])
few = WindowBatches(generate("alba", "train", 2_000, 0), 128, 1, 0)
Gradients(model, Recipe())(few.next_batch())
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 10**8,) * 2)
batch = batches.next_batch()
try:
    Gradients(model, Recipe())(batch)
except BatchTooLargeError as error:
    print(error)
    fits = int(str(error).split("max_windows_at_once = ")[1].split()[0])
    assert error.windows_at_once == fits
    print(Gradients(model, Recipe(max_windows_at_once=fits))(batch).item())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_a_batch_that_does_not_fit_says_what_would(root: Path) -> None:
    assert MODELS["nano"].window_bytes == 128
    done = subprocess.run(
        [sys.executable, "-c", TOO_LARGE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    message, loss = done.stdout.splitlines()
    assert message.startswith("1024 windows of 128 bytes at once do not fit in memory; max_windows")
    assert 2 < float(loss) < 6


class SmallGpu:
    """A model's loss on a GPU whose memory is for a few windows only, until it is freed."""

    def __init__(self, gradients: Gradients, most_windows: int) -> None:
        self.parts: list[int] = []
        whole = gradients._loss.forward

        def forward(x_BT: torch.Tensor, y_BT: torch.Tensor, reduction: str) -> torch.Tensor:
            self.parts.append(len(x_BT))
            if len(x_BT) > most_windows:
                raise torch.OutOfMemoryError("CUDA out of memory")
            loss: torch.Tensor = whole(x_BT, y_BT, reduction)
            return loss

        gradients._loss.forward = forward
        gradients._on_gpu = True


def test_a_gpu_takes_smaller_parts_where_memory_is_short(batch: Batch) -> None:
    recipe = Recipe(precision="float32")
    loss, whole = gradients(recipe, batch)
    torch.manual_seed(0)
    model = new_decoder(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.5)
    ours = Gradients(model, recipe)
    gpu = SmallGpu(ours, most_windows=2)
    again = ours(batch).item()
    # Nine at once, four, and then parts of two and less.
    assert gpu.parts[:2] == [9, 4] or gpu.parts[:2] == [9, 3]
    assert max(gpu.parts[2:]) == 2
    assert again == pytest.approx(loss, rel=1e-6)
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert (found - whole).norm() < 1e-5 * whole.norm()
    ours(batch)
    assert max(gpu.parts[-5:]) == 2  # it is remembered


def test_one_window_that_does_not_fit_is_said(batch: Batch) -> None:
    ours = Gradients(new_decoder(TINY), Recipe())
    SmallGpu(ours, most_windows=0)
    with pytest.raises(RunError, match="even one window does not fit"):
        ours(batch)


def test_windows_at_once_are_measured_on_a_gpu_and_agreed_on(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four that this rank finds, three that another does."""
    monkeypatch.setattr(step, "windows_at_once", lambda *_: 4)
    monkeypatch.setattr(step, "free_bytes", lambda _: 10**9)
    ours = Gradients(new_decoder(TINY), Recipe())
    ours._on_gpu = True
    assert not ours.in_one_piece(9, 32)
    assert ours.windows_at_once == 4
    monkeypatch.setattr(Ranks, "min", lambda self, number, device: min(number, 3))
    other = Gradients(new_decoder(TINY), Recipe())
    other._on_gpu = True
    other.in_one_piece(9, 32)
    assert other.windows_at_once == 3
    said = Gradients(new_decoder(TINY), Recipe(max_windows_at_once=5))
    said._on_gpu = True
    assert not said.in_one_piece(9, 32)
    assert said.windows_at_once == 5
