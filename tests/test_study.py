"""docs/study.md: its sweeps share cells and can answer what it asks of them, its digests hold."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
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


def digests() -> dict[str, str]:
    lines = (STUDY / "texts.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def test_nonsense_and_brackets_are_made_anew_with_the_same_digests(tmp_path: Path) -> None:
    """By the page's command."""
    page = (STUDY.parents[1] / "docs" / "study.md").read_text("utf-8")
    command = "python -m raydt.corpora.controlled nonsense brackets --to texts --bytes 3M"
    assert command in page
    subprocess.run([sys.executable, *command.split()[1:]], cwd=tmp_path, check=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "texts").iterdir()}
    assert sorted(made) == ["brackets.txt", "nonsense.txt"]
    for name, text in made.items():
        assert hashlib.sha256(text).hexdigest() == digests()[name]


def test_texts_have_the_digests_of_the_page() -> None:
    folder = STUDY.parents[2] / "shared" / "corpora"
    if not folder.exists():
        pytest.skip("no ../shared/corpora: the texts are not part of the project")
    for language in LANGUAGES:
        text = (folder / f"{language}.txt").read_bytes()
        assert hashlib.sha256(text).hexdigest() == digests()[f"{language}.txt"]


def test_groups_of_sources_have_means_over_targets(tmp_path: Path) -> None:
    amounts = {"es": (400, 200), "en": (200, 100), "zh": (-100, 0), "nonsense": (0, 50)}
    rows = [
        {"stage": "finetune", "source": source, "target": target, "size": "8k", "range": "inside"}
        | {"finetune_bytes": 8000, "transferred_bytes": amount}
        for source, both in amounts.items()
        for target, amount in zip(("pt", "de"), both, strict=True)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "effective.csv", index=False)
    far = {"es": 0.0, "en": 0.1, "zh": 1.0, "nonsense": 0.0}
    script = "script (letters not in common)"
    pairs = [
        {"source": source, "target": target, script: distance}
        for source, distance in far.items()
        for target in ("pt", "de")
    ]
    pd.DataFrame(pairs).to_csv(tmp_path / "claim_similarity_2.csv", index=False)
    words = [sys.executable, str(STUDY / "groups.py"), str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    there_is_none = subprocess.run(
        [*words[:2], str(tmp_path / "no")], capture_output=True, text=True
    )
    assert there_is_none.returncode == 2
    assert "expected a folder that `raydt analyze` wrote" in there_is_none.stderr
    # Means of 300 and 150 over two targets: 225, and 6.314 * 106.07 / sqrt(2) to each side.
    assert "| 8k | the same script | 4 | +225 [-249, +699] | 0 |" in said
    assert "| 8k | another script, into a shared one | 2 | -50 [-366, +266] | 0 |" in said
    assert "| 8k | nonsense | 2 | +25 [-133, +183] | 0 |" in said
