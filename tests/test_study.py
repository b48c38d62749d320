"""The sweeps of docs/study.md: they share cells, and can answer what the page asks of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.claims.answerable import Axes, answerable
from raydt.config.sweep import Sweep
from raydt.grid.build import build_grid
from raydt.tracking.schema import Stage
from tests.sweep_words import read

STUDY = Path(__file__).parent.parent / "sweeps" / "study"
LANGUAGES = ["ar", "de", "en", "es", "fi", "ja", "ko", "pt", "ru", "zh"]


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Sweep]:
    """Of a folder that has the texts."""
    (tmp_path / "texts").mkdir()
    for name in [*LANGUAGES, "nonsense", "brackets"]:
        (tmp_path / "texts" / f"{name}.txt").write_text("a line\n")
    monkeypatch.chdir(tmp_path)
    return {path.stem: read("--sweep", str(path)) for path in STUDY.glob("*.toml")}


def test_all_pairs_of_ten_languages(sweeps: dict[str, Sweep]) -> None:
    for name in ("pairs", "joint"):
        assert sorted(sweeps[name].targets) == LANGUAGES
        assert set(LANGUAGES) <= set(sweeps[name].sources)
    pairs = sweeps["pairs"]
    axes = Axes(pairs.sources, pairs.targets, len(pairs.sizes), len(pairs.seeds))
    assert all(asked.can for asked in answerable(axes))


def test_joint_adds_joint_cells_and_nothing_else_to_pairs(sweeps: dict[str, Sweep]) -> None:
    pairs, joint = sweeps["pairs"], sweeps["joint"]
    assert pairs.name == joint.name
    assert pairs.protocol == joint.protocol
    there = {cell.cell_id for cell in build_grid(pairs)}
    added = [cell for cell in build_grid(joint) if cell.cell_id not in there]
    assert len(added) == 10 * 9 * 2
    assert {cell.stage for cell in added} == {Stage.JOINT}


def test_mixtures_are_trained_as_pairs_are(sweeps: dict[str, Sweep]) -> None:
    assert sweeps["mixtures"].protocol == sweeps["pairs"].protocol
    assert list(sweeps["mixtures"].mixtures) == ["en+es"]


def test_the_sweep_for_gpus_asks_the_same_of_two_larger_models(sweeps: dict[str, Sweep]) -> None:
    gpu = sweeps["gpu"]
    assert len(gpu.sources) == len(gpu.targets) == len(LANGUAGES)
    assert gpu.joint
    assert gpu.models == ("mini", "small")
