"""Claims of joint cells: scripts, and whether BTS and D_T agree; what is planted comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.claims.claim import ClaimAnswer, Verdict
from analysis.claims.every import claim_answers
from analysis.claims.grid import finetuned
from analysis.claims.joint import SIGNS, TABLE, across_scripts, agreement
from analysis.claims.predictors import CorpusFacts, corpus_facts, predictors
from analysis.claims.scripts import common_share, script_shares
from raydt.corpora.splits import SEPARATOR
from tests.analysis.claims.planted_grid import TEN, PlantedGrid

WRITTEN = {"ar": "Arab", "ja": "Hira", "ko": "Hang", "ru": "Cyrl", "zh": "Hani"}
FACTS = CorpusFacts(scripts={name: {WRITTEN.get(name, "Latn"): 1.0} for name in TEN})


def planted(
    across: float, noise: float = 0.05, seed: int = 0, languages: tuple[str, ...] = TEN
) -> pd.DataFrame:
    """Scores of all pairs: -0.2 within a script, `across` between two, and noise of languages."""
    random = np.random.default_rng(seed)
    of_source, of_target = random.normal(0, noise, (2, len(languages)))
    rows = []
    for i, source in enumerate(languages):
        for j, target in enumerate(languages):
            if source != target:
                same = FACTS.scripts[source] == FACTS.scripts[target]
                score = (-0.2 if same else across) + of_source[i] + of_target[j]
                rows.append(("tiny", source, target, 8000, score + random.normal(0, noise)))
    table = pd.DataFrame(rows, columns=["model", "source", "target", "target_bytes", "score"])
    ends = {"low": table["score"] - 0.1, "high": table["score"] + 0.1}
    return table.assign(**ends, range="inside", low_range="inside", high_range="inside")


def scripts_claim(scores: pd.DataFrame, facts: CorpusFacts = FACTS) -> ClaimAnswer:
    random = np.random.default_rng(1)
    return across_scripts(scores, "tiny", facts=facts, num_permutations=299, random=random)


def test_a_planted_penalty_between_scripts_is_found() -> None:
    found = scripts_claim(planted(-0.39))
    assert found.verdict is Verdict.YES
    table = found.tables[TABLE].set_index("pairs")
    assert table["number"].to_dict() == {"within": 20, "across": 70}
    assert table.loc["within", "mean_score"] == pytest.approx(-0.2, abs=0.06)
    assert table.loc["across", "mean_score"] == pytest.approx(-0.39, abs=0.06)
    assert scripts_claim(planted(0.1)).verdict is Verdict.OPPOSITE


def test_without_a_penalty_it_is_seldom_found() -> None:
    # Languages that help or harm in general are shared by pairs: a t-test over pairs finds them.
    found = [scripts_claim(planted(-0.2, seed=seed)).verdict for seed in range(40)]
    assert sum(one in (Verdict.YES, Verdict.OPPOSITE) for one in found) <= 6


def test_one_script_or_unknown_ones_are_no_question() -> None:
    latin = planted(-0.2, languages=("de", "en", "es", "fi", "pt"))
    assert not scripts_claim(latin).was_tested
    assert "20 pairs, 0 of them across" in scripts_claim(latin).sentence
    assert not scripts_claim(planted(-0.39), CorpusFacts()).was_tested
    # A language whose script is not known is left out.
    some = CorpusFacts(scripts={n: s for n, s in FACTS.scripts.items() if n != "fi"})
    assert scripts_claim(planted(-0.39), some).n == 9


def agreed(sign: int, noise: float = 0.2) -> ClaimAnswer:
    """Scores that go with D_T (1), against it (-1), or have nothing to do with it (0)."""
    grid = PlantedGrid(languages=TEN, sizes=(8_000,), slope=2.0)
    effective, known = grid.known(200)
    found = finetuned(effective, "tiny", known)
    random = np.random.default_rng(0)
    scores = planted(0)
    of_pair = found.rows.set_index(["source", "target"])["log_ratio"]
    index = pd.MultiIndex.from_frame(scores[["source", "target"]])
    spread = of_pair.std()
    standard = ((of_pair - of_pair.mean()) / spread).reindex(index).to_numpy()
    scores["score"] = -0.5 + sign * 0.1 * standard + 0.1 * noise * random.normal(size=len(scores))
    scores["low"], scores["high"] = scores["score"] - 0.01, scores["score"] + 0.01
    return agreement(scores, found, "tiny", num_permutations=299, random=random)


def test_scores_that_order_pairs_as_transfer_does_agree() -> None:
    found = agreed(1)
    assert found.verdict is Verdict.YES
    assert found.n == 10
    # All scores are under 0 and all pairs gain: they agree in order and not in sign.
    assert "In 90 of 90 combinations of pair and size, finetuning gains" in found.sentence
    assert found.tables[SIGNS].set_index("").loc["D_T above 0", "BTS below 0"] == 90
    assert agreed(-1).verdict is Verdict.OPPOSITE
    assert agreed(0, noise=1).verdict not in (Verdict.YES, Verdict.OPPOSITE)


def test_claims_of_joint_cells_stand_where_there_are_some() -> None:
    effective, noise = PlantedGrid(languages=TEN, sizes=(8_000,)).known(200)
    some = {"noise": noise, "facts": FACTS, "num_permutations": 99}
    both = claim_answers(effective, bilingual=planted(-0.39), **some)
    assert [one.name for one in both][5:] == ["scripts", "agreement"]
    assert len(claim_answers(effective, bilingual=planted(-0.39).iloc[:0], **some)) == 5


def test_scripts_are_read_off_prepared_text(tmp_path: Path) -> None:
    texts = {"ru": "слово 1, ещё одно.", "en": "a word, 2", "ja": "漢字とかな"}
    for name, text in texts.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "test.bin").write_bytes(text.encode() + bytes([SEPARATOR]))
        split = {"train": {"bytes_per_character": 1.0}}
        (folder / "manifest.json").write_text(json.dumps({"language": name, "splits": split}))
    facts = corpus_facts(tmp_path, texts)
    assert facts.scripts == {
        "ru": {"Cyrl": 1.0},
        "en": {"Latn": 1.0},
        "ja": {"Hira": pytest.approx(0.6), "Hani": pytest.approx(0.4)},
    }
    square = predictors(texts, facts)["script (letters not in common)"]
    assert square.loc["ru", "en"] == 1.0
    assert common_share(facts.scripts["ja"], {"Hani": 1.0}) == pytest.approx(0.4)
    (tmp_path / "none").write_bytes(b"1, 2.\0")
    assert script_shares(tmp_path / "none") == {}
