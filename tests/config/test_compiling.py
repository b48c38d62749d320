from __future__ import annotations

import pytest

from raydt.config.compiling import what_compiles
from raydt.config.model import MODELS
from raydt.config.recipe import Recipe

LONG = Recipe(epochs="10")


@pytest.mark.parametrize(
    ("model", "size_bytes", "on_gpu", "expected"),
    [
        ("nano", 32_000, True, "off"),
        ("mini", 100_000, True, "off"),
        ("small", 7 * 10**6, True, "blocks"),
        ("small", 6 * 10**9, True, "model"),
        ("paper-small", 6 * 10**9, True, "blocks"),
        ("small", 6 * 10**9, False, "off"),
    ],
)
def test_what_pays_is_compiled(model: str, size_bytes: int, on_gpu: bool, expected: str) -> None:
    assert what_compiles(LONG, size_bytes, MODELS[model], on_gpu) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [(True, "blocks"), (False, "off"), ("model", "model"), ("off", "off")],
)
def test_a_recipe_decides_for_itself(said: object, expected: str) -> None:
    recipe = Recipe.model_validate({"compile": said})
    for on_gpu in (False, True):
        assert what_compiles(recipe, 6 * 10**9, MODELS["small"], on_gpu) == expected


def test_it_is_not_in_a_fingerprint() -> None:
    changed = Recipe(compile="model", deterministic=True, max_windows_at_once=4)
    assert changed.identity() == Recipe().identity()
