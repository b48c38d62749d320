"""The pairs to measure next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.completion.next_pairs import next_pairs
from analysis.effective import COLUMNS
from raydt import cli
from raydt.commands.next_pairs import planned_next
from raydt.config.read import Typed, read_sweep
from raydt.grid.build import build_grid
from raydt.grid.journal import RESULT
from raydt.grid.ledger import cell_folder
from raydt.grid.result import write_result
from tests.analysis.completion.test_completed import planted
from tests.analysis.planted import Planted
from tests.analysis.planted_store import Store
from tests.grid.results import result_of

NOTHING = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
PAIRS = [(source, target) for source in ("en", "es", "de") for target in ("pt", "ru", "fi")]


def needs(pretrain: int = 1000, ladder: int = 500) -> dict[tuple[str, str], dict[str, int]]:
    return {
        (source, target): {
            f"p/{source}": pretrain,
            f"s/{target}": ladder,
            f"f/{source}{target}": 10,
        }
        for source, target in PAIRS
    }


def test_what_a_pair_before_has_brought_costs_nothing() -> None:
    found = next_pairs(NOTHING, ["nano"], PAIRS, needs(), 9)
    assert (found.num_measured, found.num_missing, len(found.pairs)) == (0, 9, 9)
    assert found.pairs[0].flops == 1510
    # The second shares the first one's pretrain: a ladder is cheaper than another pretrain.
    assert found.pairs[1].source == found.pairs[0].source
    assert found.pairs[1].flops == 510
    assert sum(one.flops for one in found.pairs) == 3 * 1000 + 3 * 500 + 9 * 10
    assert len({(one.source, one.target) for one in found.pairs}) == 9
    # All pairs measured, nothing is left to narrow.
    assert sum(one.narrowing for one in found.pairs) == pytest.approx(1.0)


def test_at_equal_cost_a_new_source_and_target_say_most() -> None:
    costs = {pair: {f"f/{pair}": 10} for pair in PAIRS}
    first, second = next_pairs(NOTHING, ["nano"], PAIRS, costs, 2).pairs
    assert first.source != second.source
    assert first.target != second.target
    assert first.narrowing > second.narrowing > 0


def test_from_measured_pairs_those_that_are_known_are_not_offered() -> None:
    effective, gone = planted(2, own=0.1, missing=20)
    pairs = [*zip(effective["source"], effective["target"], strict=True), *gone]
    costs = {pair: {f"f/{pair}": 10} for pair in gone}
    found = next_pairs(effective, ["nano"], pairs, costs, 5)
    assert (found.num_measured, found.num_missing) == (36, 20)
    assert {(one.source, one.target) for one in found.pairs} <= set(gone)
    # Nearly all is told by 36 pairs; what is left of each is its own, which only it tells.
    assert all(0.03 < one.narrowing < 0.2 for one in found.pairs)
    falls = [one.narrowing for one in found.pairs]
    assert falls == sorted(falls, reverse=True)
    assert np.isfinite(falls).all()


def test_the_plan_lists_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["plan", "--corpus", "controlled", "--sources", "related", "unrelated", "--targets"]
    words += ["alba", "brio", "--sizes", "2k", "--seeds", "0", "--storage", str(tmp_path)]
    assert cli.main([*words, "--next", "3"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "next 3 of 4 unmeasured pairs" in shown
    assert "too few pairs are measured" in shown
    assert cli.main([*words, "--next", "0"]) == 2
    assert "--next" in capsys.readouterr().err


def test_what_was_measured_is_read_from_ledger_and_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sources, targets = ["related", "unrelated", "hispa"], ["alba", "brio", "lusa"]
    sweep = read_sweep(
        Typed(
            fields={
                "name": "planted",
                "storage": str(tmp_path),
                "tracking_uri": store.uri,
                "sources": sources,
                "targets": targets,
                "sizes": ["8k", "32k"],
                "seeds": [0],
            }
        )
    )
    done = [cell for cell in build_grid(sweep) if cell.target != "lusa"]
    for cell in done:
        write_result(cell_folder(sweep, cell.cell_id), RESULT, result_of(cell.cell_id))
    worth = {"related": 40_000, "unrelated": 6_000, "hispa": 12_000}
    measured = Planted(
        worth, targets=("alba", "brio"), finetune=(8_000, 32_000), seeds=(0,), noise=0.0
    )
    store.write("planted", [replace(cell, model="nano") for cell in measured.cells()])
    found = planned_next(sweep, 9)
    assert found.num_measured == 6
    assert {(one.source, one.target) for one in found.pairs} == {(one, "lusa") for one in sources}
    # The first brings lusa's ladder; the pretrains are there.
    assert all(0 < one.flops < found.pairs[0].flops for one in found.pairs[1:])
    assert planned_next(sweep.model_copy(update={"targets": ("alba", "brio")}), 3).pairs == []
