from __future__ import annotations

import pytest

from raydt.config.model import MODELS
from raydt.config.protocol import Protocol
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.grid.cost import cell_costs
from raydt.grid.savings import savings
from raydt.tracking.schema import Stage
from tests.grid.results import result_of

SWEEP = Sweep(
    sources=("related", "nonsense"),
    targets=("alba",),
    sizes=("2k", "8k"),
    seeds=(0,),
    protocol=Protocol(
        evaluation_growth=1, evaluations=8, val_bytes="8k", test_bytes="32k", test_stride_bytes=128
    ),
)


def test_what_is_shared_would_otherwise_be_trained_again() -> None:
    cells = build_grid(SWEEP)
    costs = cell_costs(cells, SWEEP, {}, {})
    saved = savings(cells, SWEEP, costs, {})
    by_stage = {
        stage: sum(costs[cell.cell_id].expected_flops for cell in cells if cell.stage is stage)
        for stage in Stage
    }
    assert saved.shared_ladders == by_stage[Stage.SCRATCH], "of two sources one ladder is spared"
    # Each pretrain has a zeroshot and two finetunes: it is trained once and not three times.
    assert saved.shared_pretrains == 2 * by_stage[Stage.PRETRAIN]
    forward = MODELS["nano"].forward_flops_per_byte
    evaluations = 4 * 8 + 4 * 9 + 2 * 1  # four cells from random, four from weights, two zeroshots
    assert saved.val_sample == evaluations * (250 - 63) * 128 * forward
    assert saved.stopped_early is None
    assert saved.test_loss_stderr is None


def test_what_done_cells_left_of_their_budgets() -> None:
    cells = build_grid(SWEEP)
    costs = cell_costs(cells, SWEEP, {}, {})
    first, second = (cell for cell in cells if cell.stage is Stage.SCRATCH)
    seen = {
        first.cell_id: costs[first.cell_id].budget_bytes // 2,
        second.cell_id: costs[second.cell_id].budget_bytes,
    }
    results = {
        cell_id: result_of(cell_id, bytes_seen=num_bytes, test_loss_stderr=0.02)
        for cell_id, num_bytes in seen.items()
    }
    saved = savings(cells, SWEEP, costs, results)
    left = costs[first.cell_id].budget_bytes - costs[first.cell_id].budget_bytes // 2
    assert saved.stopped_early == left * MODELS["nano"].training_flops_per_byte
    budgets = sum(costs[cell.cell_id].budget_bytes for cell in (first, second))
    assert saved.stopped_share == pytest.approx(left / budgets)
    assert saved.test_loss_stderr == 0.02


def test_one_source_shares_no_ladder() -> None:
    sweep = SWEEP.model_copy(update={"sources": ("related",)})
    cells = build_grid(sweep)
    costs = cell_costs(cells, sweep, {}, {})
    assert savings(cells, sweep, costs, {}).shared_ladders == 0
