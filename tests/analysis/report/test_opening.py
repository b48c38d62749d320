"""The report's first picture: at the size that the headline speaks of, every mark explained."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.answer import Place
from analysis.report.chosen import source_order
from analysis.report.dots import dots_figure
from analysis.report.figures import encoded
from analysis.report.maps import opening_heatmap
from analysis.report.opening import Opening, legend, title
from analysis.simulate.trial import run_trial
from analysis.simulate.world import World

NAMES = ("aa", "bb", "cc", "dd")
PLACE = Place("nano", 8_000, "aa", "bb")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Twelve pairs at one size; dd does harm, cc does nothing."""
    gains = np.array([1.0, 0.5, 0.0, -0.5])[:, None, None]
    world = World(NAMES, 3, lambda *_: np.broadcast_to(gains, (4, 4, 3)))
    effective = run_trial(world, np.random.default_rng(1), 200).effective
    return effective[effective["finetune_bytes"] == 32_000].reset_index(drop=True)


def texts(figure: Any) -> list[str]:
    svg = encoded(figure)[0].decode()
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def none(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[:0].assign(predicted=True)


def place_of(rows: pd.DataFrame) -> Place:
    first = rows.iloc[0]
    return Place(first["model"], int(first["finetune_bytes"]), first["source"], first["target"])


def test_the_map_has_every_number_with_its_interval(rows: pd.DataFrame) -> None:
    found = texts(opening_heatmap(rows, none(rows), place_of(rows)))
    assert sum(text.startswith("[") for text in found) >= len(rows) - 3, "bounds may have none"
    assert {"source", "target", *NAMES} <= set(found)


def test_only_pairs_whose_interval_includes_0_are_hatched(rows: pd.DataFrame) -> None:
    calm = rows.assign(transferred_low_bytes=1.0, transferred_high_bytes=2.0)
    assert "url(#h" not in encoded(opening_heatmap(calm, none(rows), PLACE))[0].decode()
    calm.loc[0, "transferred_low_bytes"] = -1.0
    figure = opening_heatmap(calm, none(rows), PLACE)
    assert encoded(figure)[0].decode().count("url(#h") == 1


def test_an_end_of_the_ladder_at_0_leaves_the_sign_open(rows: pd.DataFrame) -> None:
    """D_F is the smallest rung, and some resamples lie under it: the low end is "<0"."""
    calm = rows.assign(transferred_low_bytes=0.0, transferred_high_bytes=2.0, low_range="inside")
    assert "url(#h" not in encoded(opening_heatmap(calm, none(rows), PLACE))[0].decode()
    calm["low_range"] = "below"
    assert "url(#h" in encoded(opening_heatmap(calm, none(rows), PLACE))[0].decode()


def test_a_predicted_pair_is_marked_wherever_it_stands(rows: pd.DataFrame) -> None:
    guess = rows.iloc[:1].assign(predicted=True, transferred_bytes=4_000.0, range="inside")
    for figure in (
        opening_heatmap(rows.iloc[1:], guess, PLACE),
        dots_figure(rows.iloc[1:], guess, PLACE),
    ):
        assert [text for text in texts(figure) if text.startswith("≈ +4k")]


def test_languages_stand_in_one_order_by_what_they_give(rows: pd.DataFrame) -> None:
    assert source_order(rows, rows["model"].iloc[0]) == list(NAMES)


def test_dots_are_largest_first_and_the_headlines_is_bold(rows: pd.DataFrame) -> None:
    into = rows[rows["target"] == "bb"]
    figure = dots_figure(into, none(rows), replace(PLACE, source="aa", target="bb"))
    (axes,) = figure.axes
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == ["aa", "cc", "dd"]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal"]


@pytest.mark.parametrize("as_map", [True, False])
def test_the_legend_explains_what_is_there_and_nothing_else(
    rows: pd.DataFrame, as_map: bool
) -> None:
    calm = rows.assign(transferred_low_bytes=1.0, transferred_high_bytes=2.0, range="inside")
    calm["transferred_bytes"] = 1.5
    plain = " ".join(legend(Opening(PLACE, calm, none(rows), as_map), 0.9))
    assert "in brackets its 90% interval" in plain
    for mark in ("includes 0", "<", "≈", "either"):
        assert mark not in plain
    shaken = calm.copy()
    shaken.loc[0, "transferred_low_bytes"] = -1.0
    shaken.loc[1, "range"] = "above"
    full = " ".join(legend(Opening(PLACE, shaken, calm.iloc[:1], as_map), 0.9))
    for mark in ("includes 0" if as_map else "either", "< and >", "≈"):
        assert mark in full
    single = calm.assign(transferred_low_bytes=np.nan, transferred_high_bytes=np.nan)
    assert "One seed: no interval" in " ".join(
        legend(Opening(PLACE, single, none(rows), as_map), 0.9)
    )


def test_the_title_names_the_size_and_among_several_models_the_model(rows: pd.DataFrame) -> None:
    shown = Opening(PLACE, rows, none(rows), True)
    assert title(shown, False).endswith("finetuning on 32k")
    assert title(shown, True).endswith("finetuning on 32k, nano")
    zeroshot = Opening(PLACE, rows.assign(finetune_bytes=0), none(rows), True)
    assert "without finetuning" in title(zeroshot, False)
