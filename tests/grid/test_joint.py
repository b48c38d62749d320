"""Joint cells: only where they are asked for, and with the bytes of their scratch cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from raydt.config.sweep import Sweep
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import parse_corpus
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.cost import cell_cost
from raydt.grid.identity import fingerprint
from raydt.grid.ledger import check_name_is_free, record_sweep
from raydt.orchestration.grid.tasks import build_tasks
from raydt.orchestration.start import prepare_languages
from raydt.tracking.schema import Stage
from tests.sweep_words import problems, read

AXES = "--sources alba alba+brio --targets related --sizes 2k 4k --seeds 0".split()


def sweep_of(tmp_path: Path, *words: str) -> Sweep:
    small = ["--protocol.val-bytes", "2k", "--protocol.test-bytes", "4k", "--pretrain-size", "8k"]
    return read(*AXES, *small, "--storage", str(tmp_path / "runs"), *words)


def texts(language: PreparedLanguage) -> list[bytes]:
    """All whole documents of train."""
    stored = language.train(language.manifest.splits["train"].num_bytes)
    return stored.tobytes().split(b"\0")[:-1]


def joint(sweep: Sweep) -> list[Cell]:
    return [cell for cell in build_grid(sweep) if cell.stage is Stage.JOINT]


def test_there_are_none_unless_they_are_asked_for(tmp_path: Path) -> None:
    without, with_them = sweep_of(tmp_path), sweep_of(tmp_path, "--joint")
    assert not joint(without)
    assert with_them.joint == read(*AXES, "--joint", "true").joint
    assert not read(*AXES, "--joint", "false").joint
    cells = joint(with_them)
    assert Counter((cell.source, cell.size.label) for cell in cells) == Counter(
        (source, size) for source in ("alba", "alba+brio") for size in ("2k", "4k")
    )
    assert all(cell.parent_id is None for cell in cells)
    others = {c.cell_id: c for c in build_grid(with_them) if c.stage is not Stage.JOINT}
    assert others == {c.cell_id: c for c in build_grid(without)}
    for cell in others.values():
        prints = {fingerprint(cell, each, "data", None) for each in (with_them, without)}
        assert len(prints) == 1


def test_a_sweep_that_was_launched_may_get_them(tmp_path: Path) -> None:
    record_sweep(sweep_of(tmp_path))
    check_name_is_free(sweep_of(tmp_path, "--joint"))


def test_weights_have_no_text_to_be_joined_with(tmp_path: Path) -> None:
    words = ["--sources", "w=cell:other/pretrain/x", "--targets", "related", "--sizes", "2k"]
    (problem,) = problems(*words, "--joint")
    assert problem.startswith("joint: ")
    both = read(*words[:2], "alba", *words[2:], "--joint")
    assert {cell.source for cell in joint(both)} == {"alba"}


@pytest.mark.parametrize("source", ["alba", "alba+brio"])
def test_one_reads_what_scratch_reads_and_as_much_of_the_source(
    tmp_path: Path, source: str
) -> None:
    sweep = sweep_of(tmp_path, "--joint")
    languages, locations = prepare_languages(sweep, locate(parse_corpus(sweep.corpus)))
    cells = build_grid(sweep)
    workers = {cell.cell_id: 0 for cell in cells}
    tasks = build_tasks(cells, sweep, languages, locations, workers, "launch", {})
    task = tasks[f"joint/{source}-related/4k/nano/s0"]
    mixed = languages[task.data[0].language]
    assert task.language == locations[mixed.name]
    assert (task.size_bytes, task.recipe) == (8_000, sweep.protocol.scratch)
    data = mixed.train(8_000).tobytes()
    assert data[:4_000] == languages["related"].train(4_000).tobytes()
    if source == "alba+brio":
        texts_of_brio = set(texts(languages["brio"]))
        others = data[4_000:].split(b"\0")[:-1]
        bytes_of_brio = sum(len(text) + 1 for text in others if text in texts_of_brio)
        assert abs(bytes_of_brio - 2_000) <= max(map(len, others)) + 1
    else:
        assert data[4_000:] == languages["alba"].train(4_000).tobytes()
    scratch = tasks["scratch/related/4k/nano/s0"]
    assert (task.val_bytes, task.test_bytes) == (scratch.val_bytes, scratch.test_bytes)
    alone = languages["related"]
    for split, num_bytes in (("val", task.val_bytes), ("test", task.test_bytes)):
        assert np.array_equal(getattr(mixed, split)(num_bytes), getattr(alone, split)(num_bytes))
    assert task.fingerprint not in {t.fingerprint for c, t in tasks.items() if c != task.cell_id}


def test_it_costs_what_a_scratch_cell_of_twice_its_size_costs(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "--joint")
    by_size = {cell.size.label: cell for cell in build_grid(sweep) if cell.stage is Stage.SCRATCH}
    (half, *_) = [cell for cell in joint(sweep) if cell.size.label == "2k"]
    assert cell_cost(half, sweep, {}, {}) == cell_cost(by_size["4k"], sweep, {}, {})
    assert half.run_name == "joint alba, related 2k s0"
