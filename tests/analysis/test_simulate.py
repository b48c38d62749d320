"""A reduced run of `python -m analysis.simulate`: levels, powers and coverage, fixed seeds.

Few grids, so the bands are wide: they fail where a level is lost (all equal languages told apart,
say), and docs/statistics.md has the full table.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

from analysis.simulate.__main__ import markdown, run
from analysis.simulate.characteristics import operating_characteristics
from analysis.simulate.interpolation import interpolation_errors
from analysis.simulate.plants import ALPHA
from analysis.simulate.study import WORLDS


@pytest.fixture(scope="module")
def shares() -> pd.Series:
    def run(
        worlds: list[str], num_languages: int, num_trials: int, num_seeds: int = 2
    ) -> pd.DataFrame:
        return operating_characteristics(
            worlds=worlds,
            num_languages=num_languages,
            num_seeds=num_seeds,
            num_trials=num_trials,
            num_resamples=150,
        )

    found = pd.concat(
        [
            run(["equal languages", "D_T = 0", "one cell 2 % above scratch, the edge"], 4, 12),
            run(["one source 7-fold", "antisymmetric pairs", "one cell 25 % above scratch"], 6, 3),
            run(["sigmoid", "limited by steps", "seeds share rungs"], 4, 8, 3),
            run(["weak transfer, k = 8"], 6, 12, 3),
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
    assert mine['similar: "yes"'] >= 0.5


def test_intervals_hold_what_was_planted(shares: pd.Series) -> None:
    mine = shares["equal languages"]
    assert 0.80 <= mine["D_T"] <= 0.97
    for asked in ("effect of a source", "effect of a target"):
        assert mine[asked] >= 0.70, asked


def test_intervals_hold_where_the_ladder_is_no_law_and_the_noise_no_model(
    shares: pd.Series,
) -> None:
    for world in ("sigmoid", "limited by steps", "seeds share rungs"):
        assert 0.75 <= shares[world, "D_T"] <= 0.99, world


def test_weak_transfer_does_not_select_by_its_outcome(shares: pd.Series) -> None:
    mine = shares["weak transfer, k = 8"]
    assert mine["alpha, median"] == pytest.approx(ALPHA, abs=0.2)  # 0.9 by logs of what is left
    assert mine["interval of alpha"] >= 0.7


def test_without_noise_the_default_reads_laws_within_a_twentieth_of_the_finetuned_bytes() -> None:
    errors = interpolation_errors()
    laws = errors[errors["curve"].str.startswith("law")]
    assert len(laws) == 8
    assert laws["guided"].max() <= 0.05


def test_what_is_plain_is_found(shares: pd.Series) -> None:
    assert shares["one source 7-fold", 'similar: "no"'] == 1
    assert shares["antisymmetric pairs", 'commutative: "no"'] == 1
    assert shares["one cell 25 % above scratch", 'hurt: "yes"'] == 1


def test_no_harm_is_found_where_there_is_none(shares: pd.Series) -> None:
    assert shares["D_T = 0", 'hurt: "yes"'] <= 0.25
    assert shares["equal languages", 'hurt: "no"'] == 1
    assert shares["one cell 2 % above scratch, the edge", 'hurt: "no"'] <= 0.25


def test_every_world_has_a_name_of_its_own() -> None:
    assert len({one.name for one in WORLDS}) == len(WORLDS)


def test_a_study_is_taken_up_where_it_was_stopped(tmp_path: Path) -> None:
    options = Namespace(
        trials=1,
        resamples=50,
        languages=[4],
        seeds=[2],
        worlds=["D_T = 0"],
        processes=1,
        random_seed=0,
        keep=tmp_path / "trials.csv",
        show=False,
    )
    run(options)
    # What is kept is not run again, whatever it says.
    kept = pd.read_csv(options.keep)
    kept.assign(value=0.25).to_csv(options.keep, index=False)
    options.trials = 2
    found = run(options)
    assert sorted(found["trial"]) == [0, 0, 1, 1]
    assert (found.loc[found["trial"] == 0, "value"] == 0.25).all()
    assert len(pd.read_csv(options.keep)) == 4
    options.show = True
    table = markdown(run(options)).splitlines()
    assert table[0] == "| world | asked | kind | band | 4x4, 2 | error | grids |"
    assert len(table) == 4
    # Other resamples are another study.
    options.resamples, options.show, options.trials = 60, False, 1
    assert len(run(options)) == 2
