"""A cell that was killed ends as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.controlled.catalog import generate
from raydt.errors import InputError, RunError
from raydt.training.checkpoints.folder import Checkpoint, CheckpointFolder
from raydt.training.loop import Report, Resumed, Splits, TrainConfig, train

TINY = ModelConfig(width=32, num_layers=1, num_heads=1, hidden=64, window_bytes=32)
TEN_STEPS = Recipe(budget_bytes="2560", budget_at_bytes="4k", max_batch_windows=8, min_steps=1)
CONFIG = TrainConfig(TINY, TEN_STEPS, 4_000, evaluations=5, patience=5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits(*(generate("alba", split, 4_000, 0) for split in ("train", "val", "test")))


@pytest.mark.parametrize(("where", "seed"), [("steps", 1), ("steps", 2), ("writing", 3)])
def test_a_cell_killed_again_and_again_ends_with_the_same_bits(
    where: str, seed: int, tmp_path: Path, root: Path
) -> None:
    program = root / "tests" / "training" / "killed_cell.py"
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(seed), where],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kills"] >= 4
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    weights, again = (load_file(path / "weights.safetensors") for path in (undisturbed, killed))
    assert all(torch.equal(weights[name], again[name]) for name in weights.keys() | again.keys())
    # Losses, reports and what was chosen: the journal of the last attempt alone is whole.
    assert (killed / "result.json").read_text() == (undisturbed / "result.json").read_text()
    # Every step of every attempt had the batch and the loss of the undisturbed one.
    steps = (undisturbed / "steps-0").read_text().splitlines()
    made = 0
    for path in killed.glob("steps-*"):
        first = int((killed / path.name.replace("steps", "first")).read_text())
        lines = path.read_text().splitlines()
        assert lines == steps[first : first + len(lines)]
        made += len(lines)
    assert made >= len(steps) == 50
    # Nothing is left of the writing.
    assert not (killed / "ckpt").exists()


def checkpointed(path: Path, splits: Splits, config: TrainConfig = CONFIG) -> list[Report]:
    """Train with a checkpoint after every second step; the reports."""
    reports: list[Report] = []
    train(config, splits, report=reports.append, checkpoints=folder(path))
    return reports


def folder(path: Path, fingerprint: str = "f") -> CheckpointFolder:
    return CheckpointFolder(path, fingerprint, every_steps=2)


def test_two_are_kept_and_nothing_else(splits: Splits, tmp_path: Path) -> None:
    checkpointed(tmp_path / "c", splits)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        f"step-{step:09d}.{kind}" for step in (8, 10) for kind in ("json", "safetensors")
    ]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["cut in half", "bit flipped", "empty", "gone"])
def test_of_a_damaged_checkpoint_the_one_before_is_used(
    kind: str, damage: str, splits: Splits, tmp_path: Path
) -> None:
    whole = checkpointed(tmp_path / "c", splits)
    path = tmp_path / "c" / f"step-000000010.{kind}"
    content = bytearray(path.read_bytes())
    if damage == "cut in half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    found: list[Resumed] = []
    reports: list[Report] = []
    train(
        CONFIG,
        splits,
        report=reports.append,
        checkpoints=folder(tmp_path / "c"),
        resumed=found.append,
    )
    (where,) = found
    assert where.bytes_seen == 8 * 8 * 32
    assert [*where.reports, *reports] == whole
    # A manifest that is gone never was.
    assert len(where.damaged) == (0 if (damage, kind) == ("gone", "json") else 1)


def test_if_all_are_damaged_the_cell_begins_anew_and_says_why(
    splits: Splits, tmp_path: Path
) -> None:
    whole = checkpointed(tmp_path / "c", splits)
    for path in (tmp_path / "c").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    found: list[Resumed] = []
    reports: list[Report] = []
    train(
        CONFIG,
        splits,
        report=reports.append,
        checkpoints=folder(tmp_path / "c"),
        resumed=found.append,
    )
    assert (found[0].bytes_seen, found[0].reports, len(found[0].damaged)) == (0, (), 2)
    assert reports == whole


def test_a_checkpoint_of_something_else_is_refused_by_all_that_differs(
    splits: Splits, tmp_path: Path
) -> None:
    checkpointed(tmp_path / "c", splits)
    other = TrainConfig(
        TINY.model_copy(update={"hidden": 96}),
        TEN_STEPS.model_copy(update={"learning_rate": 0.5}),
        4_000,
        seed=1,
        evaluations=5,
        patience=5,
    )
    with pytest.raises(InputError) as caught:
        train(other, splits, checkpoints=folder(tmp_path / "c", "g"))
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for words in (
        "model.hidden: expected 96, as in the cell, got 64",
        "recipe.learning_rate: expected 0.5",
        "seed: expected 1",
        "fingerprint 'g', got 'f'",
    ):
        assert words in text


def test_micro_batches_may_change_between_attempts(splits: Splits, tmp_path: Path) -> None:
    checkpointed(tmp_path / "c", splits)
    recipe = TEN_STEPS.model_copy(update={"max_windows_at_once": 3})
    found: list[Resumed] = []
    config = TrainConfig(TINY, recipe, 4_000, evaluations=5, patience=5)
    train(config, splits, checkpoints=folder(tmp_path / "c"), resumed=found.append)
    assert found[0].bytes_seen == 10 * 8 * 32


def test_short_cells_write_none(splits: Splits, tmp_path: Path) -> None:
    train(CONFIG, splits, checkpoints=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_writing_takes_its_share_of_the_time_at_most(tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path / "c", every_seconds=0, max_share=1e-9)
    assert checkpoints.due(1)
    checkpoints.write(Checkpoint(1, {"weights/a": torch.zeros(3)}, {}), {})
    assert not checkpoints.due(2)


def test_a_storage_that_refuses_is_a_clean_error(splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file where a folder belongs")
    with pytest.raises(RunError, match="cannot be written"):
        checkpointed(tmp_path / "c", splits)


def test_weights_of_another_shape_in_a_checkpoint_name_the_first_difference(
    splits: Splits, tmp_path: Path
) -> None:
    checkpoints = folder(tmp_path / "c")
    checkpointed(tmp_path / "c", splits)
    found = checkpoints.newest(CONFIG.facts())
    assert found is not None
    tensors = dict(found.tensors)
    tensors["weights/head.weight"] = torch.zeros(256, 16)
    checkpoints.write(Checkpoint(12, tensors, found.state), CONFIG.facts())
    with pytest.raises(
        RunError, match=r"head\.weight: expected shape \(256, 32\), got \(256, 16\)"
    ):
        checkpointed(tmp_path / "c", splits)


def test_there_is_no_pickle_in_it(splits: Splits, tmp_path: Path) -> None:
    checkpointed(tmp_path / "c", splits)
    tensors = load_file(tmp_path / "c" / "step-000000010.safetensors")
    save_file(tensors, tmp_path / "again.safetensors")
    parts = {name.split("/")[0] for name in tensors}
    assert parts == {"weights", "best", "optimizer", "loop"}
