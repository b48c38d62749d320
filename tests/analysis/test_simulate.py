"""A reduced run of `python -m analysis.simulate`: levels, powers and coverage, fixed seeds.

Few grids, so the bands are wide: they fail where a level is lost (all equal languages told apart,
say), and docs/statistics.md has the full table.
"""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.simulate.study import WORLDS, operating_characteristics


@pytest.fixture(scope="module")
def shares() -> pd.Series:
    def run(worlds: list[str], num_languages: int, num_trials: int) -> pd.DataFrame:
        return operating_characteristics(
            worlds=worlds,
            num_languages=num_languages,
            num_seeds=2,
            num_trials=num_trials,
            num_resamples=150,
        )

    found = pd.concat(
        [
            run(["equal languages", "D_T = 0"], 4, 12),
            run(["one source 7-fold", "antisymmetric pairs", "one cell 25 % above scratch"], 6, 3),
        ]
    )
    return found.set_index(["world", "asked"])["share"]


def test_equal_languages_are_not_told_apart(shares: pd.Series) -> None:
    mine = shares["equal languages"]
    for asked in (
        "sources alike (F, pretrains the unit)",
        "one law: the same k",
        "one law: the same alpha",
        'similarity: "yes" or "the other way"',
    ):
        assert mine[asked] <= 0.25, asked  # 3 of 12: a chance of 1 in 500 at 5 %
    for asked in ('similar: "no"', 'commutative: "yes" or "no"', 'specific: "no"'):
        assert mine[asked] <= 0.17, asked
    assert mine['similar: "yes"'] >= 0.75


def test_intervals_hold_what_was_planted(shares: pd.Series) -> None:
    mine = shares["equal languages"]
    assert 0.80 <= mine["D_T"] <= 0.97
    for asked in ("effect of a source", "effect of a target"):
        assert mine[asked] >= 0.70, asked


def test_what_is_plain_is_found(shares: pd.Series) -> None:
    assert shares["one source 7-fold", 'similar: "no"'] == 1
    assert shares["antisymmetric pairs", 'commutative: "no"'] == 1
    assert shares["one cell 25 % above scratch", 'hurt: "yes"'] == 1


def test_no_harm_is_found_where_there_is_none(shares: pd.Series) -> None:
    assert shares["D_T = 0", 'hurt: "yes"'] <= 0.25
    assert shares["D_T = 0", 'hurt: "no"'] == 0


def test_every_world_has_a_name_of_its_own() -> None:
    assert len({one.name for one in WORLDS}) == len(WORLDS)
