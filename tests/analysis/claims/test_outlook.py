"""What an undecided claim would take, and whether that would be enough."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.claims.claim import ClaimAnswer, Verdict
from analysis.claims.every import claim_answers
from analysis.claims.grid import finetuned
from analysis.claims.outlook import SEEDS_TRIED, seeds_needed, with_seeds
from analysis.simulate import plants
from analysis.simulate.trial import Trial, run_trial
from analysis.simulate.world import MODEL, TEN, Plant, World


def trial(plant: Plant, number: int, languages: int = 4, seeds: int = 2) -> Trial:
    world = World(TEN[:languages], seeds, plant)
    return run_trial(world, np.random.default_rng([number, seeds]), 150)


def answer(one: Trial, claim: str) -> ClaimAnswer:
    found = claim_answers(
        one.effective, noise=one.noise, num_permutations=199, explore=False, names=(claim,)
    )
    return found[0]


def test_as_many_seeds_as_are_forecast_decide_more_often_than_not() -> None:
    decided = []
    for number in range(12):
        takes = answer(trial(plants.one_source(1.9), number), "similar").takes
        seeds = [more for more in SEEDS_TRIED[:5] if f"about {more} more seed" in takes]
        if seeds:
            again = trial(plants.one_source(1.9), number, seeds=2 + seeds[0])
            decided.append(answer(again, "similar").verdict is not Verdict.UNDECIDED)
    assert len(decided) >= 5
    assert np.mean(decided) >= 0.5


def test_noise_of_more_seeds_is_that_of_a_grid_with_more_seeds() -> None:
    few, many = (trial(plants.equal, 3, seeds=seeds) for seeds in (2, 8))
    found = finetuned(few.effective, MODEL, few.noise)
    wider = with_seeds(found, 6)
    known = finetuned(many.effective, MODEL, many.noise)
    assert found.drawn is not None
    assert wider.drawn is not None
    assert wider.drawn.std(axis=0) == pytest.approx(found.drawn.std(axis=0) / 2)
    for name in ("freedom_own", "freedom_shared", "freedom_scratch"):
        assert wider.rows[name].mean() == pytest.approx(known.rows[name].mean(), rel=0.2)


def test_one_seed_needs_a_second_before_anything_else() -> None:
    one = answer(trial(plants.one_source(7.0), 0, seeds=1), "similar")
    assert one.verdict is Verdict.UNDECIDED
    assert one.takes.startswith("Needs a second seed of every cell")


def test_too_few_labels_need_languages_and_not_seeds() -> None:
    one = answer(trial(plants.near_helps(0.9), 0, languages=4), "similarity")
    assert one.verdict is Verdict.UNDECIDED
    assert one.takes == "With about 1 more language in the same roles, if r stays the same."


def test_a_share_about_a_half_needs_more_pairs_than_there_are() -> None:
    takes = {
        answer(trial(plants.near_gives(0.4), number, 5), "specific").takes for number in range(6)
    }
    assert any("more language" in one for one in takes)


def test_nothing_is_forecast_where_no_number_of_seeds_decides() -> None:
    # Finetunes at the edge of the factor stay there however sure they become.
    one = trial(plants.one_source(1.9), 0)
    found = finetuned(one.effective, MODEL, one.noise)
    undecided = answer(one, "similar")
    assert seeds_needed(found, lambda _: undecided) is None


def test_a_bound_needs_a_rung_and_says_at_which_end() -> None:
    def plant(
        random: np.random.Generator, languages: tuple[str, ...], sizes: np.ndarray
    ) -> np.ndarray:
        # All alike, and beyond the highest rung (8 MB) at every D_F.
        return plants.equal(random, languages, sizes) + np.log(2000.0)

    takes = answer(trial(plant, 1), "similar").takes
    assert takes.startswith("Needs a rung above the ladder")
    assert "are bounds" in takes
