"""What enters a fingerprint. The digests here may not move by adding a field."""

from __future__ import annotations

import pytest

from raydt.config.protocol import Protocol
from raydt.config.recipe import Recipe
from raydt.config.sweep import Sweep
from raydt.grid import identity
from raydt.grid.cell import Cell
from raydt.tracking.schema import Stage
from raydt.units import Size

CELL = Cell(Stage.SCRATCH, None, "alba", Size(8_000, "8k"), 0, "nano")


def of(recipe: Recipe) -> str:
    sweep = Sweep(protocol=Protocol(scratch=recipe))
    return identity.fingerprint(CELL, sweep, "data", None)


def test_it_moves_with_the_numerics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of recipe and model as they were in version 4, by the code that hashed them then.
    assert identity.NUMERICS_VERSION == 4
    assert of(Recipe()) == "8dd1301ca9203b52b5a40ad13eae26ccf57bb0a2491ba52146d5ac4aaad3c7bb"
    monkeypatch.setattr(identity, "NUMERICS_VERSION", 5)
    assert of(Recipe()) != "8dd1301ca9203b52b5a40ad13eae26ccf57bb0a2491ba52146d5ac4aaad3c7bb"


@pytest.mark.parametrize(
    "field",
    [
        {"learning_rate": 0.01},
        {"epochs": 3},
        {"optimizer": "adamw"},
        {"z_loss": 1e-4},
        {"schedule": "wsd"},
        {"average": "power"},
        {"precision": "bfloat16"},
        {"beta2": 0.99},
    ],
)
def test_what_decides_a_result_changes_it(field: dict[str, object]) -> None:
    assert of(Recipe(**field)) != of(Recipe())


@pytest.mark.parametrize("field", [{"compile": True}, {"max_windows_at_once": 4}])
def test_what_only_takes_time_or_memory_does_not(field: dict[str, object]) -> None:
    assert of(Recipe(**field)) == of(Recipe())


def test_a_default_that_is_spelt_out_is_the_default() -> None:
    assert of(Recipe(schedule="cosine", z_loss=0, epochs=())) == of(Recipe())


@pytest.mark.parametrize(
    "field",
    [{"test_stride_bytes": 16}, {"evaluation_growth": 1.3}, {"tolerance": 0.01}, {"patience": 9}],
)
def test_how_cells_are_evaluated_and_end_enters(field: dict[str, object]) -> None:
    sweep = Sweep(protocol=Protocol(scratch=Recipe(), **field))
    assert identity.fingerprint(CELL, sweep, "data", None) != of(Recipe())
