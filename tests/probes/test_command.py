"""`raydt probe`: from weights on the storage to runs in the store, or everything that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raydt.cli import main
from raydt.config.model import MODELS
from raydt.config.sweep import Sweep
from raydt.corpora.controlled.pairs import build_pairs
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.journal import RESULT, WEIGHTS, attempt_folder
from raydt.grid.ledger import cell_folder, record_sweep
from raydt.grid.result import write_result
from raydt.model.families import new_decoder
from raydt.probes.pairs import Pair, digest
from raydt.probes.score import Accuracy, accuracies
from raydt.tracking import schema
from raydt.tracking.schema import Stage
from raydt.tracking.store import open_store
from raydt.training.checkpoints.weights import save_weights
from tests.grid.results import result_of

SCRATCH = "scratch/alba/2k/nano/s0"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Two targets; every cell is done, by weights that no training has seen."""
    sweep = Sweep(
        name="s",
        storage=tmp_path / "runs",
        sources=("related", "nonsense"),
        targets=("alba", "brio"),
        sizes=("2k",),
        seeds=(0,),
        pretrain_size="4k",
    )
    record_sweep(sweep)
    for number, cell in enumerate(build_grid(sweep)):
        finish(sweep, cell, seed=number)
    return sweep


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    """Torch has been imported by now, and does not read the environment again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def finish(sweep: Sweep, cell: Cell, seed: int) -> None:
    folder = cell_folder(sweep, cell.cell_id)
    if cell.stage is not Stage.ZEROSHOT:
        weights = attempt_folder(folder, "1").local_path / WEIGHTS
        save_weights(untrained(cell, seed).state_dict(), weights, None)
    said = {"test_loss": 1.25, "test_bpb": 1.8, "best_val_loss": 1.3}
    write_result(folder, RESULT, result_of(cell.cell_id, **said))


def untrained(cell: Cell, seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return new_decoder(MODELS[cell.model]).eval()


def probe(sweep: Sweep, *words: str) -> int:
    return main(["probe", *words, "--storage", sweep.storage])


def sync(sweep: Sweep) -> None:
    assert main(["sync", "--storage", sweep.storage]) == 0


def runs_of(sweep: Sweep) -> dict[str, Any]:
    client = open_store(sweep.store_uri)
    [experiment] = [one for one in client.search_experiments() if one.name == "s"]
    where = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_CELL}'"
    runs = client.search_runs([experiment.experiment_id], where)
    return {run.data.tags[schema.TAG_CELL_ID]: run.data for run in runs}


def test_own_pairs_of_controlled_languages_go_into_the_runs(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    sync(sweep)
    capsys.readouterr()
    assert probe(sweep, "scratch/alba/*", "zeroshot/related-alba/*") == 0
    shown = capsys.readouterr().out
    assert "Accuracy on minimal pairs: 1000 of alba\n" in shown
    assert shown.endswith(f"Next:  raydt analyze s --storage {sweep.storage}\n")

    cells = {cell.cell_id: (number, cell) for number, cell in enumerate(build_grid(sweep))}
    pairs = [Pair(each.good, each.bad, each.kind) for each in build_pairs("alba", 0)]
    tags = set()
    for cell_id, run in runs_of(sweep).items():
        number, cell = cells[cell_id]
        if not cell_id.startswith(("scratch/alba/", "zeroshot/related-alba/")):
            assert schema.TAG_PROBES not in run.tags
            continue
        seed = number if cell.parent_id is None else cells[cell.parent_id][0]
        expected = accuracies(untrained(cell, seed), pairs)
        found = json.loads(run.tags[schema.TAG_PROBES])
        tags.add(found["pairs"])
        assert {kind: Accuracy(*each) for kind, each in found["kinds"].items()} == expected
        assert list(expected) == ["agreement", "tense", "order", "facts"]
        share = run.metrics[schema.METRIC_PROBE_ACCURACY]
        assert share == sum(one.num_right for one in expected.values()) / 1000
        assert run.metrics["probe/accuracy_facts"] == expected["facts"].share
        assert f"{share:.3f} ± " in shown
    assert tags == {digest(pairs)}


def test_files_of_pairs_each_for_its_language(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sync(sweep)
    (tmp_path / "a.tsv").write_text("abc\tabd\nabc\tabe\n")
    (tmp_path / "b.jsonl").write_text('{"good": "x", "bad": "y", "kind": "k"}\n')
    files = [f"--pairs=alba={tmp_path}/a.tsv", f"--pairs=brio={tmp_path}/b.jsonl"]
    assert probe(sweep, "scratch/*", *files) == 0
    kinds = [
        json.loads(run.tags[schema.TAG_PROBES])["kinds"]
        for cell_id, run in sorted(runs_of(sweep).items())
        if cell_id.startswith("scratch/")
    ]
    assert [{kind: each[1] for kind, each in found.items()} for found in kinds] == [
        {"": 2},
        {"k": 1},
    ]
    # Of one language the file says it all.
    assert probe(sweep, SCRATCH, "--pairs", f"{tmp_path}/a.tsv") == 0
    assert "Accuracy on minimal pairs: 2 of alba" in capsys.readouterr().out


def test_everything_that_is_wrong_is_said_at_once(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.tsv").write_bytes(b"same\tsame\nalone\n\tx\n\xff\tx\n")
    (tmp_path / "good.tsv").write_text("a\tb\n")
    (tmp_path / "kinds.jsonl").write_text(
        "".join(f'{{"good": "a", "bad": "b", "kind": "{n:0500}"}}\n' for n in range(6))
    )
    (cell_folder(sweep, SCRATCH).local_path / RESULT).unlink()
    weightless = "finetune/related-brio/2k/nano/s0"
    (attempt_folder(cell_folder(sweep, weightless), "1").local_path / WEIGHTS).unlink()
    words = ["scratch/*", weightless, "pretrain/nonsense/*", "finetune/nonsense-brio/*"]
    for each in (
        f"alba={tmp_path}/a.tsv",
        f"alba={tmp_path}/good.tsv",
        f"brio={tmp_path}/kinds.jsonl",
        f"klingon={tmp_path}/good.tsv",
        f"{tmp_path}/absent.tsv",
        "brio=~nobody-is-called-so/x",
    ):
        words += ["--pairs", each]
    assert probe(sweep, *words) == 2
    lines = [line.removeprefix("error ") for line in capsys.readouterr().err.splitlines()]
    expected = [
        r"a.tsv:1: expected two different texts, got the same text twice",
        r"a.tsv:2: expected `good TAB bad`, got 1 fields",
        r"a.tsv:3: expected two non-empty texts, got an empty one",
        r"a.tsv:4: expected text in UTF-8, got byte 0xff at 0",
        r"--pairs alba=.*: expected one file per language, got two",
        r"kinds of pairs: expected names with at most 2500 characters in total, got 6 names",
        r"--pairs klingon=.*: expected a language of the cells to score: alba, brio, nonsense, got "
        r"'klingon'",
        r"--pairs /.*absent.tsv: expected LANGUAGE=FILE, where LANGUAGE is one of alba, brio,",
        r"absent.tsv: expected a file of minimal pairs, got No such file",
        r"--pairs brio=~nobody.*: expected one file per language",
        r"--pairs brio=~nobody.*: expected a file of minimal pairs, got Could not determine home",
        r"language nonsense: expected one whose text follows rules",
        rf"cell {SCRATCH}: expected a cell that is done, got waiting",
        rf"cell {weightless}: expected weights on the storage",
        r"cell scratch/brio/2k/nano/s0: expected a run in sqlite.*`raydt sync` creates it.*, got "
        r"none",
    ]
    for wanted in expected:
        assert [line for line in lines if re.search(wanted, line)], (wanted, lines)


def test_other_corpora_have_no_pairs_of_their_own(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = sweep.model_copy(update={"corpus": f"files:{tmp_path}", "name": "files"})
    record_sweep(elsewhere)
    assert probe(elsewhere, "scratch/alba/*", "--name", "files") == 2
    said = capsys.readouterr().err
    assert (
        "expected --pairs alba=FILE (only controlled languages have built-in pairs), got none"
        in said
    )
