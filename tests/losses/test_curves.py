"""Somebody's validation curves: read with their table, and as good as our own afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.curves.stored import stored_crossovers
from analysis.store.read import read_sweep
from analysis.table import tidy
from raydt import cli
from raydt.errors import InputError
from raydt.losses.columns import read_declared
from raydt.losses.curves import with_curves
from raydt.losses.table import LossTable, read_losses
from raydt.losses.units import read_unit

LOSSES = """stage,source,target,size,seed,model,loss,bytes_seen
pretrain,en,,1M,0,tiny,,50000
scratch,,de,8k,0,tiny,1.5,1000000
finetune,en,de,8k,0,tiny,1.4,1000000
"""
HEAD = "stage,source,target,size,seed,model,bytes_seen,loss\n"
STEPS = np.geomspace(1e3, 1e6, 40).round()
KNOWN = 20 ** (1 / 0.3)  # 100·x^-0.5 = 5·x^-0.2


def curves() -> str:
    rows = [f"scratch,,de,8k,0,tiny,{x:.0f},{float(100 * x**-0.5)!r}\n" for x in STEPS]
    rows += [f"finetune,en,de,8k,0,tiny,{x:.0f},{float(5 * x**-0.2)!r}\n" for x in STEPS[::-1]]
    return HEAD + "".join(rows)


def read(folder: Path, text: str, per_token: str | None = None) -> LossTable:
    (folder / "losses.csv").write_text(LOSSES, encoding="utf-8")
    (folder / "curves.csv").write_text(text, encoding="utf-8")
    declared = read_declared([], [], read_unit("nats", per_token))
    table = read_losses(folder / "losses.csv", [], declared)
    return with_curves(table, folder / "curves.csv", [], declared)


def test_a_known_crossing_is_found_in_somebodys_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, curves())
    words = ["import", str(tmp_path / "losses.csv"), "--curves", str(tmp_path / "curves.csv")]
    words += ["--storage", str(tmp_path)]
    assert cli.main(words) == 0
    assert "80 evaluations of 2 of 3 cells" in " ".join(capsys.readouterr().out.split())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    runs = read_sweep(uri, "losses")
    cells = tidy(runs).cells
    ids = [run.run_id for run in runs.cells]
    found = stored_crossovers(uri, runs.experiment_id, ids, cells, 0.9, {}).crossings
    (row,) = found.to_dict("records")
    assert row["scratch_ahead_range"] == "inside"
    assert row["scratch_ahead_bytes"] == pytest.approx(KNOWN, rel=0.01)
    assert row["pretrain_bytes"] == 50_000
    # The same files again change nothing; without curves it is another table.
    assert cli.main(words) == 0
    assert "0 of them new" in capsys.readouterr().out
    assert cli.main([words[0], words[1], *words[4:]]) == 0
    assert "0 of them new, 2 with other numbers than before" in capsys.readouterr().out


def test_rows_without_a_curve_keep_their_fingerprint(tmp_path: Path) -> None:
    table = read(tmp_path, curves())
    plain = read_losses(tmp_path / "losses.csv")
    same = [
        one.fingerprint == two.fingerprint for one, two in zip(table.rows, plain.rows, strict=True)
    ]
    assert same == [True, False, False]
    assert [len(row.curve) for row in table.rows] == [0, 40, 40]
    assert list(table.rows[2].curve) == sorted(table.rows[2].curve)


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = HEAD + "scratch,,de,8k,0,tiny,,2.0\nscratch,,de,8k,0,tiny,-5,2.0\n"
    text += "scratch,,fr,8k,0,tiny,10,2.0\nscratch,,fr,8k,0,tiny,20,1.9\n"
    text += "scratch,,de,8k,0,tiny,10,-1\n"
    with pytest.raises(InputError) as raised:
        read(tmp_path, text)
    found = str(raised.value)
    assert "curves.csv lines 2, 3: bytes_seen: expected the bytes trained on so far" in found
    assert "curves.csv line 3: bytes_seen" in found
    assert "curves.csv line 6: loss" in found
    assert found.count("a cell of the table of losses") == 1
    with pytest.raises(InputError, match="a column bytes_seen"):
        read(tmp_path, HEAD.replace("bytes_seen,", "") + "scratch,,de,8k,0,tiny,2.0\n")


def test_one_evaluation_is_said_to_be_none_and_tokens_become_bytes(tmp_path: Path) -> None:
    text = (
        HEAD
        + "scratch,,de,8k,0,tiny,0,9\nscratch,,de,8k,0,tiny,100,8\nfinetune,en,de,8k,0,tiny,100,\n"
    )
    table = read(tmp_path, text, per_token="4")
    (row,) = [row for row in table.rows if row.curve]
    assert row.curve == ((0, 2.25), (400, 2.0))
    notes = "; ".join(table.notes)
    assert "1 curves have only one evaluation of trained weights" in notes
    assert "1 rows have no loss and were ignored" in notes


def test_somebodys_joint_cells_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half as much again of both together is as good as the target alone: BTS is 2 - 1.5."""
    rows = [f"scratch,,de,8k,0,tiny,{x:.0f},{float(100 * x**-0.5)!r}\n" for x in STEPS]
    rows += [f"joint,en,de,8k,0,tiny,{3 * x:.0f},{float(100 * (2 * x) ** -0.5)!r}\n" for x in STEPS]
    (tmp_path / "losses.csv").write_text(
        "stage,source,target,size,seed,model,loss,bytes_seen\n"
        "scratch,,de,8k,0,tiny,0.1,1000000\n"
        "joint,en,de,8k,0,tiny,0.07,3000000\n",
        encoding="utf-8",
    )
    (tmp_path / "curves.csv").write_text(HEAD + "".join(rows), encoding="utf-8")
    words = ["import", str(tmp_path / "losses.csv"), "--curves", str(tmp_path / "curves.csv")]
    assert cli.main([*words, "--storage", str(tmp_path)]) == 0
    assert cli.main(["analyze", "losses", "--storage", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "losses" / "report" / "bilingual.csv")
    assert table["score"].tolist() == pytest.approx([0.5], abs=0.01)
