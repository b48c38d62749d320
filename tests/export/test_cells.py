"""`raydt export`: from the cells of a sweep to folders, or what is wrong with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from raydt.cli import main
from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.model.alphabet import Alphabet
from raydt.model.families import new_decoder
from raydt.orchestration.start import prepare_languages
from raydt.tracking.schema import Stage
from raydt.training.checkpoints.weights import save_weights
from tests.grid.results import result_of


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Of one source and one target; all cells are done but the scratch ladder."""
    sweep = Sweep(
        name="s",
        storage=tmp_path / "runs",
        sources=("related",),
        targets=("alba",),
        sizes=("2k",),
        seeds=(0,),
        pretrain_size="4k",
    )
    record_sweep(sweep)
    prepare_languages(sweep, locate(parse_corpus(sweep.corpus)))
    for cell in build_grid(sweep):
        if cell.stage is not Stage.SCRATCH:
            finish(sweep, cell)
    return sweep


def finish(sweep: Sweep, cell: Cell) -> None:
    folder = cell_folder(sweep, cell.cell_id)
    weights = attempt_folder(folder, "1").local_path / WEIGHTS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_decoder(MODELS[cell.model])
    if cell.stage is not Stage.ZEROSHOT:
        save_weights(model.state_dict(), weights, Alphabet(frozenset({0, 97}), 0.01))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else None
    said = {"test_loss": 1.25, "test_bpb": 1.803, "best_val_loss": 1.3, "weights_sha256": digest}
    write_result(folder, RESULT, result_of(cell.cell_id, **said))


def export(sweep: Sweep, to: Path, *patterns: str) -> int:
    return main(["export", *patterns, "--to", str(to), "--storage", sweep.storage])


def test_a_cell_becomes_the_folder(sweep: Sweep, tmp_path: Path) -> None:
    to = tmp_path / "models" / "related"
    assert export(sweep, to, "pretrain/*") == 0
    config = json.loads((to / "config.json").read_text())
    assert config["raydt"]["cell"] == "pretrain/related/4k/nano/s0"
    assert (config["escape"], config["seen_bytes"]) == (0.01, [0, 97])
    weights = next(Path(sweep.storage).rglob(f"pretrain/**/{WEIGHTS}"))
    ours, theirs = load_file(weights), load_file(to / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    card = (to / "README.md").read_text()
    for said in ("4k bytes of related", "1.2500", "1.8030", "licen", "controlled", "byte_losses"):
        assert said in card


def test_several_become_a_folder_each(sweep: Sweep, tmp_path: Path) -> None:
    assert export(sweep, tmp_path / "models", "pretrain/*", "finetune/*") == 0
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names == {"pretrain-related-4k-nano-s0", "finetune-related-alba-2k-nano-s0"}
    card = (tmp_path / "models" / "finetune-related-alba-2k-nano-s0" / "README.md").read_text()
    assert "pretrained on 4k bytes of related, then finetuned on 2k bytes of alba" in card


def test_all_that_cannot_be_is_named_and_nothing_written(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "models"
    to.mkdir()
    (to / "mine.txt").write_text("mine")
    next(Path(sweep.storage).rglob(f"finetune/**/{WEIGHTS}")).unlink()
    assert export(sweep, to, "*") == 2
    said = capsys.readouterr().err
    assert "cell scratch/alba/2k/nano/s0: expected a cell that is done, got waiting" in said
    assert "cell zeroshot/related-alba/0/nano/s0: expected a cell with its own weights" in said
    assert "cell finetune/related-alba/2k/nano/s0: expected weights on the storage" in said
    assert "a new or an empty folder, got 1 files, such as mine.txt" in said
    assert [path.name for path in to.iterdir()] == ["mine.txt"]
