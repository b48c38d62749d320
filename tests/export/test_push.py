"""`raydt push` through huggingface_hub, to a server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from raydt.config.model import MODELS
from raydt.export.folder import write_model
from raydt.model.families import new_decoder
from raydt.training.checkpoints.weights import save_weights
from tests.export.hub_repository import COMMIT, REPOSITORY, Repository, hub_with
from tests.ports import free_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights = tmp_path / "weights.safetensors"
    with torch.random.fork_rng():
        save_weights(new_decoder(MODELS["nano"]).state_dict(), weights)
    write_model(tmp_path / "model", MODELS["nano"], weights, None, "---\n---\n# a card\n", {})
    return tmp_path / "model"


def push(folder: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process that has never heard of another Hub."""
    keep = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    own = {"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_test", "HF_HUB_DISABLE_XET": "1"}
    own["HF_HUB_OFFLINE"] = "0"
    return subprocess.run(
        [sys.executable, "-m", "raydt", "push", str(folder), "--to", REPOSITORY, *words],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=keep | own | {"HF_HOME": str(folder.parent / "hf")},
    )


def test_every_file_arrives(folder: Path) -> None:
    with hub_with(Repository()) as hub:
        done = push(folder, hub.endpoint, "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(COMMIT)
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "private" in json.dumps(hub.created[0])


def test_what_somebody_put_there_stays(folder: Path) -> None:
    with hub_with(Repository(files={".gitattributes": b"", "README.md": b"mine"})) as hub:
        done = push(folder, hub.endpoint)
        assert done.returncode == 2
        assert "--update commits to one that has files, got 1 files" in done.stderr.replace(")", "")
        assert hub.files is not None
        assert hub.files["README.md"] == b"mine"
        assert push(folder, hub.endpoint, "--update").returncode == 0
        assert hub.files["README.md"] == (folder / "README.md").read_bytes()


def test_a_hub_that_does_not_let_us_in(folder: Path) -> None:
    with hub_with(Repository(refuses=True)) as hub:
        done = push(folder, hub.endpoint)
    assert done.returncode == 1
    assert "the Hub refused the upload" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_that_does_not_answer(folder: Path) -> None:
    done = push(folder, f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert "raydt push: expected a network that reaches 127.0.0.1" in done.stderr


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    done = push(tmp_path, "http://127.0.0.1:9", "--update")
    assert done.returncode == 2
    assert done.stderr.count("expected a file written by `raydt export`, got no file") == 3
