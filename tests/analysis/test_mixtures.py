"""What is said of sources that are several languages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analysis.analyze import analyze
from analysis.claims.claim import Verdict
from tests.analysis.planted import Planted
from tests.analysis.planted_store import Store

WORTH = {"en": 20_000, "en+es": 40_000, "en*0.7+es*0.3": 30_000}
TAGS = {"en+es": '{"en": 0.5, "es": 0.5}', "en*0.7+es*0.3": '{"en": 0.7, "es": 0.3}'}


def test_the_report_says_what_each_mixture_is_of(store: Store, tmp_path: Path) -> None:
    cells = Planted(worth=WORTH, seeds=(0, 1)).cells()
    store.write("mixtures", [replace(cell, mixture=TAGS.get(str(cell.source))) for cell in cells])
    found = analyze(store.uri, "mixtures", tmp_path / "report", num_resamples=100)
    assert found.mixtures == {
        "en+es": "0.5 of en, 0.5 of es",
        "en*0.7+es*0.3": "0.7 of en, 0.3 of es",
    }
    page = found.report_path.read_text(encoding="utf-8")
    assert "en*0.7+es*0.3: 0.7 of en, 0.3 of es; en+es: 0.5 of en, 0.5 of es" in page
    best = found.effective[found.effective["leads"]]
    assert set(best["source"]) == {"en+es"}


def test_a_tag_by_another_hand_is_shown_as_it_stands(store: Store, tmp_path: Path) -> None:
    # Two sources without distances and one target: no pair is left to explain.
    worth = {"alba": 20_000, "brio": 10_000, "alba+brio": 30_000, "nonsense": 1_000}
    cells = Planted(worth=worth, targets=("related",), seeds=(0,)).cells()
    tags = {"alba+brio": "half and half"}
    store.write("odd", [replace(each, mixture=tags.get(str(each.source))) for each in cells])
    found = analyze(store.uri, "odd", tmp_path / "report", num_resamples=100)
    assert found.mixtures == {"alba+brio": "half and half"}
    (explained,) = [one for one in found.claims if one.name == "similarity"]
    assert explained.verdict is Verdict.UNDECIDED
