"""What enters a fingerprint. The digests here may not move by adding a field."""

from __future__ import annotations

import pytest

from raydt.config.protocol import Protocol, Recipe
from raydt.config.sweep import Sweep
from raydt.grid import identity
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage
from raydt.units import Size

CELL = Cell(Stage.SCRATCH, None, "alba", Size(8_000, "8k"), 0, "nano")


def of(recipe: Recipe) -> str:
    sweep = Sweep(protocol=Protocol(scratch=recipe))
    return identity.fingerprint(CELL, sweep, "data", None)


def test_of_the_demo_it_is_what_it_was_before_later_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "NUMERICS_VERSION", 1)
    # Of the first recipe and model, by the code that hashed all of their fields.
    assert of(Recipe()) == "d9efabeeadb06322bfcae261ff5478b11725c1af4a9f2ef070a19ed6f1463195"


@pytest.mark.parametrize(
    "field",
    [{"learning_rate": 0.01}, {"epochs": 3}, {"optimizer": "adamw"}, {"z_loss": 1e-4},
     {"schedule": "wsd"}, {"precision": "bfloat16"}, {"beta2": 0.99}],
)  # fmt: skip
def test_what_decides_a_result_changes_it(field: dict[str, object]) -> None:
    assert of(Recipe(**field)) != of(Recipe())


@pytest.mark.parametrize("field", [{"compile": True}, {"max_windows_at_once": 4}])
def test_what_only_takes_time_or_memory_does_not(field: dict[str, object]) -> None:
    assert of(Recipe(**field)) == of(Recipe())


def test_a_default_that_is_spelt_out_is_the_default() -> None:
    assert of(Recipe(schedule="cosine", z_loss=0, epochs=())) == of(Recipe())


def test_the_stride_of_the_test_split_enters() -> None:
    sweep = Sweep(protocol=Protocol(test_stride_bytes=16))
    assert identity.fingerprint(CELL, sweep, "data", None) != of(Recipe())
