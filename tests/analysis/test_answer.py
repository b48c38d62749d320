"""The finding comes first, and sizes are chosen by what can be told there."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.answer import Answer, answer
from analysis.separation import separation
from analysis.simulate.trial import Trial, run_trial
from analysis.simulate.world import World
from analysis.wording import ratio


def trial(*gains: float, num_seeds: int = 3) -> Trial:
    """Three languages; log(D_E / D_F) of each as a source, alike into all."""
    names = ("aa", "bb", "cc")
    values = np.array(gains, dtype=float)[:, None, None]
    world = World(names, num_seeds, lambda *_: np.broadcast_to(values, (3, 3, 3)))
    return run_trial(world, np.random.default_rng(1), 300)


@pytest.fixture(scope="module")
def apart() -> Trial:
    return trial(1.0, 0.4, 0.1)


def said(one: Trial) -> Answer:
    return answer(one.effective, one.noise)


def test_the_headline_says_who_into_what_how_sure_and_how_much_any_source_gives(
    apart: Trial,
) -> None:
    headline = said(apart).headline
    assert headline.startswith("aa transfers most: ")
    assert ", aa is worth another " in headline
    assert "; every source gives at least " in headline
    assert "comparisons" not in headline, "a count is no finding"


def test_the_place_is_that_of_the_headline_and_of_the_common_size_without_one(
    apart: Trial,
) -> None:
    place = said(apart).place
    assert place is not None
    assert place.source == "aa"
    assert place.finetune_bytes == 8_000
    assert f"finetuned on 8k of {place.target}, aa is" in said(apart).headline
    level = said(trial(0.5, 0.5, 0.5))
    assert level.place is not None
    assert level.place.finetune_bytes in set(apart.effective["finetune_bytes"])


def test_equal_sources_are_not_ranked_beyond_the_luck_of_seeds() -> None:
    headline = said(trial(0.5, 0.5, 0.5)).headline
    assert " transfers most: " not in headline


def test_where_the_least_source_gives_nothing_it_is_said() -> None:
    assert said(trial(1.0, -0.3, -0.3)).headline.endswith(" gives none of that.")


def test_one_seed_speaks_of_its_checkpoints() -> None:
    assert "among these checkpoints" in said(trial(1.0, 0.4, 0.1, num_seeds=1)).headline


def test_the_size_is_that_at_which_sources_are_told_apart_best(apart: Trial) -> None:
    """A smaller D_F lies where the ladder is steep, so that the same ratio is told more surely."""
    for target, rows in apart.effective.groupby("target"):
        best = separation(rows, apart.noise).best
        assert best == 8_000
        assert f"Into {target}, finetuned on 8k" in " ".join(said(apart).per_target)
        assert separation(rows, apart.noise, suspect={8_000}).best != 8_000


def test_sizes_at_which_nothing_can_be_told_are_named(apart: Trial) -> None:
    rows = apart.effective[apart.effective["target"] == "aa"]
    assert separation(rows, apart.noise).uninformative == ()
    blurred = apart.effective.copy()
    largest = blurred["finetune_bytes"] == 128_000
    blurred.loc[largest, "transferred_low_bytes"] = -1e5
    noise = apart.noise
    assert noise.log_ratio is not None
    # Bounds on both sides: nothing is told there, of 0 or of one another.
    blurred.loc[largest, "range"] = "above"
    found = separation(blurred[blurred["target"] == "aa"], noise)
    assert found.uninformative == (128_000,)
    assert "Inconclusive at 128k." in answer(blurred, noise).per_target[0]


def test_where_every_target_has_its_own_best_source_the_headline_says_which() -> None:
    """Of three languages the next one gives most: no source beats the others everywhere."""
    names = ("aa", "bb", "cc")
    values = np.full((3, 3, 3), 0.3)
    for one in range(3):
        values[one, (one + 1) % 3] = 1.2
    world = World(names, 3, lambda *_: values)
    headline = said(run_trial(world, np.random.default_rng(1), 300)).headline
    assert headline.startswith(
        "The best source depends on the target: cc for aa; aa for bb; bb for cc. "
    )
    assert " is worth another " in headline
    assert "; every source gives at least " in headline


def test_few_clear_leaders_are_named_and_no_list_of_who_beats_whom() -> None:
    """Two of six targets have a source that stands out, and no source leads everywhere."""
    names = ("aa", "bb", "cc", "dd", "ee", "ff")
    values = np.full((6, 6, 3), 0.3)
    values[1, 0] = values[2, 3] = 1.2
    world = World(names, 3, lambda *_: values)
    headline = said(run_trial(world, np.random.default_rng(1), 300)).headline
    assert headline.startswith("The best source depends on the target: bb for aa; cc for dd; none ")
    assert "none clearly for bb, cc, ee, ff. " in headline


def test_a_ratio_near_one_is_told_from_one() -> None:
    assert [ratio(value) for value in (1.037, 1.4, 2.23, 12.3)] == ["1.04", "1.4", "2.2", "12"]
