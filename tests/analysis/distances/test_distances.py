"""The committed distances: plausible, complete where they say so, empty where nothing is known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

import analysis.distances
from analysis.claims.predictors import CorpusFacts, corpus_facts, predictors
from analysis.distances.table import KINDS, PREDICTED, iso639_3, language_distances
from raydt.corpora.controlled.distance import controlled_distance

FOLDER = Path(analysis.distances.__file__ or "").parent
CORPORA = ["ar", "de", "en", "es", "fi", "ja", "ko", "pt", "ru", "zh"]


def test_names_lead_to_codes_that_exist() -> None:
    assert [iso639_3(name) for name in ("ar", "zh", "id", "iw", "no", "deu")] == [
        "arb",
        "cmn",
        "ind",
        "heb",
        "nob",
        "deu",
    ]
    assert iso639_3("nonsense") is None
    with (FOLDER / "languages.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    codes = [row["iso639_3"] for row in rows]
    assert len(codes) == len(set(codes)) >= 41  # ten corpora, the grid's, and thirty more
    assert not {"ara", "zho", "msa", "est", "lav", "fas", "swa", "nor"} & set(
        codes
    )  # not languages
    names = [name for row in rows for name in row["names"].split()]
    assert len(names) == len(set(names))


def test_the_table_states_its_licence_and_is_small() -> None:
    text = (FOLDER / "distances.csv").read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in text[:600]
    assert "CC BY-SA 4.0" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert len(text) < 200_000


def test_distances_are_symmetric_and_between_0_and_1() -> None:
    table = language_distances([*CORPORA, "id"])
    for kind in (*KINDS, *PREDICTED.values()):
        square = table.pivot(index="language", columns="other", values=kind).to_numpy()
        assert np.array_equal(square, square.T, equal_nan=True)
        assert (np.diag(square) == 0).all()
        assert np.nanmin(square) >= 0
        assert np.nanmax(square) <= 1
        assert kind == "phonological" or np.isfinite(square).all()


def test_relatives_are_near_and_the_unknown_is_empty() -> None:
    table = language_distances([*CORPORA, "nonsense", "eu"]).set_index(["language", "other"])
    assert table.loc[("es", "pt"), "genetic"] < table.loc[("es", "en"), "genetic"] < 1
    assert table.loc[("en", "de"), "syntactic"] < table.loc[("en", "ja"), "syntactic"]
    assert table.loc[("fi", "ru"), "geographic"] < table.loc[("fi", "ja"), "geographic"]
    assert math.isnan(table.loc[("pt", "en"), "phonological"])  # lang2vec would say 1.0
    assert not math.isnan(table.loc[("pt", "en"), "phonological_knn"])
    assert math.isnan(table.loc[("eu", "en"), "genetic"])  # an isolate has no place in the tree
    assert table.loc[("nonsense", "en")].isna().all()
    assert table.loc[("nonsense", "nonsense"), list(KINDS)].isna().all()


def test_a_kind_with_holes_is_taken_from_the_predictions_and_says_so() -> None:
    known = predictors(["en", "de", "es"], CorpusFacts())
    assert "phonological" in known
    known = predictors(["en", "de", "pt"], CorpusFacts(bytes_per_character={"en": 1.0, "de": 1.1}))
    assert "phonological (predicted by URIEL)" in known
    ratio = known["bytes per character (log ratio)"]
    assert ratio.loc["en", "de"] == pytest.approx(math.log(1.1))
    assert math.isnan(ratio.loc["en", "pt"])
    assert not predictors(["nonsense", "alba"], CorpusFacts())


def test_facts_come_from_manifests_and_contradictions_are_left_out(tmp_path: Path) -> None:
    def manifest(corpus: str, language: str, ratio: float, shares: str) -> None:
        folder = tmp_path / corpus / language
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(
            f'{{"language": "{language}", '
            f'"splits": {{"train": {{"bytes_per_character": {ratio}}}}},'
            f' "contamination": {{"restricted": {shares}}}}}'
        )

    manifest("c", "en", 1.0, '{"en": 0.9, "de": 0.1}')
    manifest("c", "de", 1.1, '{"de": 1.0}')
    manifest("c", "alba", 1.0, "null")
    manifest("c", "ru", 1.8, '{"ru": 1.0}')
    manifest("other", "ru", 1.7, '{"ru": 1.0}')
    facts = corpus_facts(tmp_path, ["en", "de", "ru", "alba"])
    assert facts.bytes_per_character == {"en": 1.0, "de": 1.1, "alba": 1.0}
    assert facts.contamination["en"]["de"] == 0.1
    assert facts.contamination["de"]["en"] == 0.0
    assert "alba" not in facts.contamination
    assert "ru is in 2 prepared corpora" in facts.notes[0]
    matrices = predictors(["en", "de"], facts)
    assert matrices["target's text in source"].loc["en", "de"] == 0.1
    assert matrices["source's text in target"].loc["de", "en"] == 0.1


def test_how_far_a_mixture_is_from_a_language_is_missing_and_not_made_up() -> None:
    table = language_distances(["en+es", "en*0.7+es*0.3", "pt"])
    of_mixture = table[(table["language"] != table["other"]) & (table["language"] != "pt")]
    assert of_mixture[list(KINDS)].isna().all(axis=None)
    for one in ("alba+brio", "alba*0.7+brio*0.3"):
        assert controlled_distance(one, "related") is None
    known = predictors(["en+es", "en", "pt"], CorpusFacts())
    for square in known.values():
        assert math.isnan(square.loc["en+es", "pt"])
        assert math.isnan(square.loc["en", "en+es"])
