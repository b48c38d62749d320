"""Pairs that were not measured, predicted from those that were."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.completion.completed import ALL_SIZES, completed
from analysis.completion.kernel import fit, languages_of
from analysis.report.maps import transfer_heatmap
from analysis.report.predicted_table import left_out_table, predicted_table, predicted_text

NAMES = ["ar", "de", "en", "es", "fi", "ja", "pt", "ru"]
LADDER = (8e3, 8e6)


def planted(
    seed: int, own: float, missing: int = 0, sizes: tuple[int, ...] = (32_000,)
) -> tuple[pd.DataFrame, dict[tuple[str, str], float]]:
    """Rows of the effective table with source, target and own effects, some pairs left out; and
    log(D_E / D_F) of those."""
    random = np.random.default_rng(seed)
    source, target = (dict(zip(NAMES, 0.4 * random.standard_normal(8), strict=True)) for _ in "ab")
    pairs = [(one, other) for one in NAMES for other in NAMES if one != other]
    value = {
        pair: 1.0 + source[pair[0]] + target[pair[1]] + own * random.standard_normal()
        for pair in pairs
    }
    gone = {pairs[place] for place in random.permutation(len(pairs))[:missing]}
    rows = [
        {
            "model": "nano",
            "stage": "finetune",
            "source": pair[0],
            "target": pair[1],
            "size": f"{size // 1000}k",
            "finetune_bytes": size,
            "effective_bytes": size * math.exp(value[pair]),
            "transferred_bytes": size * math.expm1(value[pair]),
            "range": "inside",
            "loss": 1.0,
            "scratch_loss": 1.1,
            "ladder_low_bytes": LADDER[0],
            "ladder_high_bytes": LADDER[1],
        }
        for size in sizes
        for pair in pairs
        if pair not in gone
    ]
    return pd.DataFrame(rows), {pair: value[pair] for pair in gone}


def test_missing_pairs_are_predicted_and_their_intervals_hold_them() -> None:
    held, errors, spread = [], [], []
    for seed in range(8):
        effective, gone = planted(seed, own=0.2, missing=12)
        found = completed(effective, 0.9)
        assert len(found.predicted) == 12
        assert found.predicted["predicted"].all()
        for row in found.predicted.to_dict("records"):
            true = 32e3 * math.exp(gone[row["source"], row["target"]])
            held.append(row["effective_low_bytes"] <= true <= row["effective_high_bytes"])
            errors.append(math.log(row["effective_bytes"] / true))
            spread.append(gone[row["source"], row["target"]] - 1.0)
    assert 0.84 <= np.mean(held) <= 0.97
    # What is a pair's own cannot be told from others: 0.2; the rest nearly all.
    assert 0.15 < np.std(errors) < 0.27
    assert np.std(spread) > 0.4


def test_left_out_says_what_prediction_is_worth() -> None:
    told, _ = planted(1, own=0.1, sizes=(32_000, 128_000))
    found = completed(told, 0.9)
    assert found.predicted.empty
    whole = found.left_out.set_index("size")
    assert list(whole.index) == ["32k", "128k", ALL_SIZES]
    assert whole.loc["32k", "num_pairs"] == 56
    assert whole.loc[ALL_SIZES, "r2"] > 0.85
    assert whole.loc[ALL_SIZES, "r2"] > whole.loc[ALL_SIZES, ["r2_sources", "r2_targets"]].max()
    assert whole.loc[ALL_SIZES, "held"] >= 0.8
    # Where every pair is its own, the others say nothing, and it does not pretend they do.
    random = np.random.default_rng(0)
    noise = told.assign(effective_bytes=told["finetune_bytes"] * np.exp(random.normal(size=112)))
    r2 = completed(noise, 0.9).left_out.set_index("size").loc[ALL_SIZES]
    assert r2["r2"] < 0.1
    assert r2["r2"] > r2["r2_two_way"]


def test_left_out_is_what_a_fit_without_the_pair_predicts() -> None:
    """The closed form against the same fit of a table from which the pair is gone."""
    effective, _ = planted(3, own=0.2, missing=30)
    pairs = list(zip(effective["source"], effective["target"], strict=True))
    values = np.log(effective["effective_bytes"] / effective["finetune_bytes"]).to_numpy()
    near = {(one, other): abs(ord(one[0]) - ord(other[0])) / 20 for one in NAMES for other in NAMES}
    languages = languages_of(pairs, near)
    whole = fit(values, languages)
    for place in (0, 7, 20):
        without = values.copy()
        without[place] = np.nan
        alone = fit(without, languages)
        assert whole.left_out()[place] == pytest.approx(alone.predicted()[place], abs=1e-6)
        for end in (0, 1):
            mine = whole.left_interval(0.9)[end][place]
            assert mine == pytest.approx(alone.interval(0.9)[end][place], abs=1e-5)


def test_a_near_pair_says_more_than_a_far_one() -> None:
    """What is shared by near languages is found in pairs and carried to the missing one."""
    names = [f"{family}{member}" for family in "abcd" for member in range(3)]
    near = {
        (one, other): 0.0 if one == other else 0.1 if one[0] == other[0] else 0.9
        for one in names
        for other in names
    }
    random = np.random.default_rng(5)
    block = {(f, g): random.standard_normal() for f in "abcd" for g in "abcd"}
    pairs = [(one, other) for one in names for other in names if one != other]
    true = np.array([block[s[0], t[0]] + 0.05 * random.standard_normal() for s, t in pairs])
    values = true.copy()
    gone = random.permutation(len(pairs))[:20]
    values[gone] = np.nan
    error = fit(values, languages_of(pairs, near)).predicted()[gone] - true[gone]
    blind = fit(values, languages_of(pairs, {})).predicted()[gone] - true[gone]
    assert np.sqrt((error**2).mean()) < 0.2
    assert np.sqrt((blind**2).mean()) > 0.5


def test_too_few_pairs_predict_nothing_and_a_bound_stays_one() -> None:
    effective, _ = planted(0, own=0.1, missing=12)
    assert completed(effective.head(5), 0.9).left_out.empty
    one_source = effective[effective["source"] == "en"]
    assert completed(one_source, 0.9).left_out.empty
    assert completed(effective.head(0), 0.9).predicted.empty
    low = effective.assign(ladder_high_bytes=33e3)
    found = completed(low, 0.9).predicted
    above = found[found["range"] == "above"]
    assert len(above)
    assert (above["effective_bytes"] == 33e3).all()


def test_predictions_are_marked_wherever_they_are_shown() -> None:
    effective, gone = planted(0, own=0.1, missing=3)
    effective = effective.assign(
        transferred_low_bytes=math.nan, transferred_high_bytes=math.nan, low_range="", high_range=""
    )
    found = completed(effective, 0.9)
    shown = predicted_table(found.predicted, False)
    assert shown is not None
    assert [row[2] for row in shown.rows] == [
        pair[0] for pair in sorted(gone, key=lambda p: p[1:] + p[:1])
    ]
    assert all(row[3].startswith("≈ ") for row in shown.rows)
    judged = left_out_table(found.left_out, True)
    assert judged is not None
    assert judged.rows[0][:3] == ["nano", "32k", "53"]
    figure = transfer_heatmap(effective, found.predicted)
    texts = [text for text in figure.axes[0].texts if text.get_text().startswith("≈")]
    assert len(texts) == len(gone)
    assert all(text.get_style() == "italic" for text in texts)
    expected = {predicted_text(row) for row in found.predicted.to_dict("records")}
    assert {text.get_text() for text in texts} == expected
