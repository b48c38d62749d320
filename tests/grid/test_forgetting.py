"""Which cells are tested on their source, what that costs, and that it changes no cell."""

from __future__ import annotations

from pathlib import Path

from raydt.config.protocol import forwarded_bytes
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell, is_tested_on_source
from raydt.grid.cost import cell_costs
from raydt.grid.identity import fingerprint
from raydt.grid.ledger import check_name_is_free, record_sweep
from raydt.tracking.schema import Stage
from tests.sweep_words import read

AXES = "--sources alba alba+brio w=cell:other/pretrain/x --targets related --sizes 2k --joint"
PROTOCOL = "--seeds 0 --protocol.val-bytes 2k --protocol.test-bytes 4k"


def sweep_of(tmp_path: Path, *words: str) -> Sweep:
    return read(*AXES.split(), *PROTOCOL.split(), "--storage", str(tmp_path / "runs"), *words)


def on_source(sweep: Sweep) -> list[Cell]:
    return [cell for cell in build_grid(sweep) if is_tested_on_source(cell, sweep)]


def test_finetunes_of_pretrains_are_and_nothing_else(tmp_path: Path) -> None:
    cells = on_source(sweep_of(tmp_path))
    assert {(cell.stage, cell.source) for cell in cells} == {
        (Stage.FINETUNE, "alba"),
        (Stage.FINETUNE, "alba+brio"),
    }
    assert not on_source(sweep_of(tmp_path, "--forgetting", "false"))


def test_a_sweep_that_was_launched_resumes_with_and_without(tmp_path: Path) -> None:
    asked, spared = sweep_of(tmp_path), sweep_of(tmp_path, "--forgetting", "false")
    for cell in build_grid(asked):
        assert fingerprint(cell, asked, "d", None) == fingerprint(cell, spared, "d", None)
    record_sweep(spared)
    check_name_is_free(asked)
    # As an earlier version recorded it.
    recorded = asked.folder.read_json("sweep.json")
    del recorded["forgetting"]
    asked.folder.write_json("sweep.json", recorded)
    check_name_is_free(asked)
    check_name_is_free(spared)


def test_it_costs_one_test_of_each_such_finetune(tmp_path: Path) -> None:
    asked, spared = sweep_of(tmp_path), sweep_of(tmp_path, "--forgetting", "false")
    cells = build_grid(asked)
    costs, less = (cell_costs(cells, sweep, {"nano": 1e9}, {}) for sweep in (asked, spared))
    model = asked.model("nano")
    window_bytes = model.window_bytes
    forwarded = forwarded_bytes(4_000, window_bytes, asked.protocol.test_stride(window_bytes))
    one_test = forwarded * model.forward_flops_per_byte
    for cell in cells:
        cost, without = costs[cell.cell_id], less[cell.cell_id]
        extra = one_test if cell in on_source(asked) else 0
        assert cost.source_test_flops == extra
        assert without.source_test_flops == 0
        assert cost.expected_flops - without.expected_flops == cost.flops - without.flops == extra
        assert (cost.seconds > without.seconds) == (extra > 0)
        assert cost.expected_bytes == without.expected_bytes, "nothing more is trained"
