"""Checkpoints that a sweep cannot start from, each with one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.errors import InputError
from raydt.export.folder import write_model
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.orchestration.grid.outside import check_outside, outside_weights
from raydt.orchestration.preflight import check_refining
from raydt.storage.local import LocalFolder
from raydt.tracking.schema import Status
from tests.grid.results import result_of

CELL = "pretrain/related/8k/nano/s0"
SHA256 = "4f" * 32


def sweep_of(tmp_path: Path, source: str, **said: object) -> Sweep:
    return Sweep(sources=(source,), targets=("alba",), storage=str(tmp_path), name="own", **said)


def found(tmp_path: Path, source: str, **said: object) -> str:
    (problem,) = check_outside(sweep_of(tmp_path, source, **said))
    return str(problem)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    folder = tmp_path / "exported"
    write_model(folder, MODELS["nano"], weights, None, "", {"weights_sha256": SHA256})
    return folder


def test_no_exported_folder(tmp_path: Path, exported: Path) -> None:
    assert "config.json" in found(tmp_path, "ckpt:/nowhere")
    (exported / "config.json").write_text("[]")
    assert "a config.json that is not an object" in found(tmp_path, f"ckpt:{exported}")


def test_an_exported_folder_is_taken_and_held_against_its_digest(
    tmp_path: Path, exported: Path
) -> None:
    sweep = sweep_of(tmp_path, f"ckpt:{exported}")
    assert check_outside(sweep) == []
    with pytest.raises(InputError, match="the weights that were exported"):
        outside_weights(sweep)
    (exported / "model.safetensors").unlink()
    assert "model.safetensors" in found(tmp_path, f"ckpt:{exported}")


def test_a_model_of_another_shape(tmp_path: Path, exported: Path) -> None:
    other = next(name for name in MODELS if name != "nano")
    said = found(tmp_path, f"ckpt:{exported}", models=("nano", other))
    assert f"a model {other}, as in --models" in said
    assert f"width {MODELS['nano'].width}, not {MODELS[other].width}" in said


def test_cells_that_cannot_be(tmp_path: Path) -> None:
    source = f"cell:first/{CELL}"
    assert "none that has ended" in found(tmp_path, source)
    assert "a cell of another sweep" in found(tmp_path, f"cell:own/{CELL}")
    first = sweep_of(tmp_path, "related").model_copy(update={"name": "first"})
    folder = cell_folder(first, CELL)
    write_result(folder, RESULT, result_of(CELL, Status.FAILED, reason="x"))
    assert "failed" in found(tmp_path, source)
    write_result(folder, RESULT, result_of(CELL, weights_sha256=SHA256))
    assert "weights on the storage" in found(tmp_path, source)
    attempt_folder(folder, "1").write(WEIGHTS, b"weights")
    record_sweep(first)
    assert check_outside(sweep_of(tmp_path, source)) == []
    weights = outside_weights(sweep_of(tmp_path, f"a={source}"))["a"]
    assert weights.sha256 == SHA256
    assert LocalFolder(Path(weights.folder)).read(weights.name) == b"weights"


def test_seeds_are_not_added_to_a_checkpoint(tmp_path: Path) -> None:
    (problem,) = check_refining(sweep_of(tmp_path, "ckpt:/x"))
    assert "as a checkpoint has no second seed" in str(problem)


def test_a_config_says_which_weights_are_its_own(tmp_path: Path, exported: Path) -> None:
    config = json.loads((exported / "config.json").read_text())
    del config["raydt"]
    (exported / "config.json").write_text(json.dumps(config))
    assert "the SHA-256 of its weights" in found(tmp_path, f"ckpt:{exported}")
