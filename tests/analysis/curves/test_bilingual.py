"""Bilingual transfer scores that are known by hand come back; where there is none, a bound does."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.curves.bilingual import NEAR_BEST, bilingual_scores
from analysis.curves.scores_in_words import bilingual_sentences

STEPS = 1e3 * 1.2 ** np.arange(40)  # up to 1.2 MB


def row(stage: str, run: str, **facts: object) -> dict[str, object]:
    common = {"model": "nano", "target": "de", "size": "8k", "size_bytes": 8000, "status": "done"}
    return {**common, "stage": stage, "source": None, "run_id": run, **facts}


def until(end: float) -> np.ndarray:
    return STEPS[: np.searchsorted(STEPS, end, "right")]


def power(scale: float, exponent: float = 0.3, end: float = 2e6) -> list[tuple[float, float]]:
    steps = until(end)
    return list(zip(steps, scale * steps**-exponent, strict=True))


def only(points: dict[str, list[tuple[float, float]]], confidence: float = 0.9) -> dict:
    cells = pd.DataFrame(
        [row("scratch" if r[0] == "s" else "joint", r, source="en" * (r[0] != "s")) for r in points]
    )
    found = bilingual_scores(cells, points, confidence)
    assert len(found) == 1
    return found.to_dict("records")[0]


@pytest.mark.parametrize(("stretch", "score"), [(2.0, 0.0), (1.0, 1.0), (1.5, 0.5), (3.7, -1.7)])
def test_a_known_score_is_found_to_a_hundredth(stretch: float, score: float) -> None:
    """A model of both is where that of the target alone was, `stretch` times the bytes later."""
    end = 1e5
    found = only({"s0": power(10, end=end), "j0": power(10 * stretch**0.3)})
    assert found["range"] == "inside"
    d = until(end)[-1]
    assert found["alone_bytes"] == d
    assert found["together_bytes"] == pytest.approx(stretch * d, rel=1e-2)
    assert found["score"] == pytest.approx(score, abs=1e-2)
    assert found["spared_share"] == pytest.approx(1 - stretch / 2, abs=1e-2)
    assert math.isnan(found["low"]), "one seed says nothing about seeds"


def test_a_known_score_of_curves_with_a_floor_is_found_to_a_hundredth() -> None:
    steps = until(2e5)
    alone = list(zip(steps, 0.8 + 30 * steps**-0.5, strict=True))
    both = list(zip(STEPS, 0.7 + 40 * STEPS**-0.4, strict=True))
    losses = 0.8 + 30 * steps**-0.5
    near = steps[np.log(losses) <= np.log(losses[-1]) + NEAR_BEST][0]
    truth = ((0.1 + 30 * near**-0.5) / 40) ** (-1 / 0.4)
    found = only({"s0": alone, "j0": both})
    assert found["together_bytes"] == pytest.approx(truth, rel=1e-2)


def test_what_gets_worse_again_is_worth_its_best() -> None:
    alone = [*power(10, end=1e5), (1.5e5, 2.0), (3e5, 3.0)]
    found = only({"s0": alone, "j0": power(10)})
    assert found["alone_bytes"] == until(1e5)[-1]
    assert found["score"] == pytest.approx(1, abs=1e-2)


def test_a_curve_that_never_gets_there_gives_a_bound() -> None:
    found = only({"s0": power(10, end=1e5), "j0": power(20, end=1e5)})
    d = found["alone_bytes"]
    assert (found["range"], found["score"]) == ("below", pytest.approx(2 - d / d))
    assert found["together_bytes"] == pytest.approx(d)
    ahead = only({"s0": power(10, end=1e5), "j0": power(0.01)})
    assert ahead["range"] == "above"
    assert ahead["score"] == pytest.approx(2 - STEPS[0] / d)


def test_one_evaluation_is_no_score() -> None:
    cells = pd.DataFrame([row("scratch", "s0"), row("joint", "j0", source="en")])
    once = {"s0": power(10), "j0": [(1e4, 1.0)]}
    assert bilingual_scores(cells, once, 0.9).empty
    assert bilingual_scores(cells, {}, 0.9).empty
    alone = pd.DataFrame([row("joint", "j0", source="en")])
    assert bilingual_scores(alone, {"j0": power(10)}, 0.9).empty


def test_the_interval_holds_the_score_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held, num, truth = 0, 400, 0.6
    for _ in range(num):
        luck = 0.02 * random.standard_normal(6)  # a seed's own, over all of its curve
        points = {f"s{n}": power(10 * math.exp(luck[n]), end=1e5) for n in range(3)}
        points |= {f"j{n}": power(10 * 1.4**0.3 * math.exp(luck[3 + n])) for n in range(3)}
        found = only(points)
        assert found["low"] <= found["score"] <= found["high"]
        held += found["low"] <= truth <= found["high"]
    assert 0.86 <= held / num <= 0.94


def test_the_answer_speaks_of_the_size_where_most_scores_are_known() -> None:
    known = {"range": "inside", "low_range": "inside", "high_range": "inside"}
    bound = dict.fromkeys(known, "below")
    rows = [("en", 8, known), ("es", 8, known), ("en", 32, known), ("es", 32, bound)]
    scores = pd.DataFrame(
        {
            "model": "tiny",
            "target": "pt",
            "source": source,
            "size": f"{size}k",
            "target_bytes": size * 1000,
            "score": 0.5,
            "low": 0.4,
            "high": 0.6,
            **ranges,
        }
        for source, size, ranges in rows
    )
    (said,) = bilingual_sentences(scores)
    assert "on 8k of pt: bilingual transfer score en +0.50 [+0.40, +0.60], es +0.50" in said
    (of_one,) = bilingual_sentences(scores[scores["source"] == "en"])
    assert "on 32k of pt" in of_one


def test_the_answer_names_the_best_four_and_says_once_what_a_score_means() -> None:
    known = {"range": "inside", "low_range": "inside", "high_range": "inside"}
    rows = [(target, source) for target in ("pt", "ru") for source in "abcdef"]
    scores = pd.DataFrame(
        {"model": "tiny", "target": target, "source": source, "size": "8k", "target_bytes": 8000}
        | {"score": 0.1 * ord(source) - 10, "low": -1.0, "high": 1.0, **known}
        for target, source in rows
    )
    first, second = bilingual_sentences(scores)
    assert [name for name in "abcdef" if f" {name} " in first] == ["c", "d", "e", "f"]
    assert "and 2 more (0: no transfer; " in first
    assert second.endswith("and 2 more.")
