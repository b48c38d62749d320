"""Sources that are weights: what is typed, and what is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.config.sources import checkpoint_of
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.tracking.schema import Stage
from tests.sweep_words import problems, read


def test_a_checkpoint_is_called_after_its_place_or_as_it_is_named() -> None:
    sweep = read(
        *("--sources", "related", "ckpt:models/en", "mine=ckpt:/a b/c"),
        *("cell:first/pretrain/x/1/s0", "--targets", "alba", "brio"),
    )
    assert sweep.source_names == ("related", "en", "mine", "first-pretrain-x-1-s0")
    assert sweep.source_languages == ("related",)
    assert sweep.checkpoints["en"].place == str(Path.cwd() / "models" / "en")
    assert sweep.train_bytes().keys() == {"alba", "brio", "related"}
    # As it is recorded it is the same, from wherever it is read.
    assert Sweep.model_validate(sweep.model_dump(mode="json")) == sweep


def test_nothing_is_pretrained_of_a_checkpoint() -> None:
    cells = build_grid(read("--sources", "a=ckpt:/x", "related"))
    assert {c.source for c in cells if c.stage is Stage.PRETRAIN} == {"related"}
    of_checkpoint = [cell for cell in cells if cell.source == "a"]
    assert {cell.stage for cell in of_checkpoint} == {Stage.FINETUNE, Stage.ZEROSHOT}
    assert all(cell.parent_id is None for cell in of_checkpoint)
    assert all(c.parent_id for c in cells if c.source == "related" and c.target)


@pytest.mark.parametrize(
    "text", ["ckpt:", "cell:first", "cell:/pretrain/x", "=ckpt:/x", "a b=ckpt:/x"]
)
def test_what_is_no_source(text: str) -> None:
    (problem,) = problems("--sources", text)
    assert problem.startswith("sources")


def test_two_sources_of_one_label() -> None:
    (problem,) = problems("--sources", "a=ckpt:/x", "a=ckpt:/y")
    assert "repeated: a" in problem


def test_a_language_is_no_checkpoint() -> None:
    assert checkpoint_of("en") is None
