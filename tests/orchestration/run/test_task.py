"""What is sent arrives as it was, by way of plain values."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from raydt.config.recipe import Recipe
from raydt.orchestration.run.task import (
    CellReport,
    CellTask,
    Processes,
    Weights,
    processes_of,
    received,
    received_report,
    sent,
    sent_report,
)
from tests.grid.results import report_of
from tests.orchestration.tasks import cell_task


@pytest.mark.parametrize(
    "task",
    [
        cell_task("scratch/alba/2k/nano/s0", recipe=Recipe(epochs=3, budget_bytes="60k")),
        cell_task(
            "zeroshot/en-de/0/nano/s0",
            parent_id="pretrain/en/2k/nano/s0",
            recipe=None,
            initial_weights=Weights(folder="f", name="weights.safetensors", sha256="ab"),
            processes=Processes(num_workers=2, cpus=3, gpus=0.5),
        ),
    ],
    ids=["recipe", "weights"],
)
def test_a_task_travels_as_plain_values(task: CellTask) -> None:
    config = sent(task)
    on_the_way = json.loads(json.dumps(config))
    assert on_the_way == config
    assert received(on_the_way, CellTask) == task
    assert processes_of(on_the_way) == task.processes


def test_a_task_has_no_field_that_nobody_knows() -> None:
    with pytest.raises(ValidationError, match="lerning_rate"):
        cell_task("a", lerning_rate=1)


def test_a_report_travels_too_whatever_its_losses() -> None:
    report = CellReport(attempt="1", row=report_of(8, math.nan, time=1.0, val_bpb=math.inf))
    found = received_report({**sent_report(report), "training_iteration": 1}, CellReport)
    assert found is not None
    assert math.isnan(found.row.val_loss)
    assert math.isinf(found.row.val_bpb)
    assert (found.attempt, found.row.bytes_seen, found.row.time) == ("1", 8, 1.0)
    assert received_report({"done": True}, CellReport) is None
