"""Label permutations: planted associations are found, and p is uniform where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.claims.grid import Grid
from analysis.claims.permutation import (
    associated,
    benjamini_hochberg,
    freedom_with,
    holm,
    label_permutations,
)

NAMES = tuple("abcdefghij")


def distances(num: int, random: np.random.Generator) -> np.ndarray:
    places = random.standard_normal((num, 2))
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=-1))


def grid(values: np.ndarray, sources: tuple[str, ...], targets: tuple[str, ...]) -> Grid:
    same = np.array([[one == other for other in targets] for one in sources])
    return Grid(sources, targets, np.where(same, np.nan, values))


def with_main_effects(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    source, target = (2 * random.standard_normal(count) for count in shape)
    return np.asarray(source[:, None] + target[None] + 0.5 * random.standard_normal(shape))


def test_a_language_in_both_roles_moves_in_both() -> None:
    sources, targets = ("a", "b", "c"), ("b", "c", "d", "e")
    drawn = label_permutations(
        sources, targets, num_permutations=99, random=np.random.default_rng(0)
    )
    assert (drawn.exact, drawn.number, len(drawn.sources)) == (True, 2 * 1 * 2, 4)
    assert drawn.least_p == 0.25
    for source, target in zip(drawn.sources, drawn.targets, strict=True):
        moved_sources = dict(zip(sources, (sources[place] for place in source), strict=True))
        moved_targets = dict(zip(targets, (targets[place] for place in target), strict=True))
        assert all(moved_sources[name] == moved_targets[name] for name in ("b", "c"))
        assert moved_sources["a"] == "a"  # the only one that is only a source
    assert (drawn.sources[0] == [0, 1, 2]).all()
    assert (drawn.targets[0] == [0, 1, 2, 3]).all()


def test_many_labels_are_drawn_and_few_enumerated() -> None:
    random = np.random.default_rng(0)
    seven = label_permutations(NAMES[:7], NAMES[:7], num_permutations=99, random=random)
    assert (seven.exact, len(seven.sources)) == (True, 5040)
    assert len({tuple(row) for row in seven.sources}) == 5040
    eight = label_permutations(NAMES[:8], NAMES[:8], num_permutations=99, random=random)
    assert (eight.exact, len(eight.sources), eight.least_p) == (False, 100, 0.01)


@pytest.mark.parametrize("main_effects", [False, True])
@pytest.mark.parametrize("ranks", [False, True])
def test_p_is_uniform_where_nothing_is_planted(main_effects: bool, ranks: bool) -> None:
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        x = distances(8, random)
        y = grid(with_main_effects((8, 8), random), NAMES[:8], NAMES[:8])
        drawn = label_permutations(y.sources, y.targets, num_permutations=99, random=random)
        p_values.append(associated(y, x, drawn, main_effects=main_effects, ranks=ranks).p)
    share = np.array([(np.array(p_values) <= level).mean() for level in (0.05, 0.1, 0.5)])
    # Four standard errors of a binomial share over 300 simulations.
    reach = 4 * np.sqrt(np.array([0.05, 0.1, 0.5]) * [0.95, 0.9, 0.5] / 300)
    assert (np.abs(share - [0.05, 0.1, 0.5]) < reach).all(), share


def test_with_controls_p_is_uniform_too() -> None:
    """x is correlated with a control that matters: simple QAP finds x, MRQAP does not."""
    random = np.random.default_rng(2)
    beside, alone = [], []
    for _ in range(200):
        cause = distances(8, random)
        x = cause + 0.3 * distances(8, random)
        y = grid(-2 * cause + 0.3 * random.standard_normal((8, 8)), NAMES[:8], NAMES[:8])
        drawn = label_permutations(y.sources, y.targets, num_permutations=99, random=random)
        beside.append(associated(y, x, drawn, controls=(cause,)).p)
        alone.append(associated(y, x, drawn).p)
    assert np.mean(np.array(alone) <= 0.05) > 0.95
    assert np.mean(np.array(beside) <= 0.05) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)


def test_planted_similarity_is_found_beyond_main_effects_in_a_rectangle() -> None:
    random = np.random.default_rng(3)
    every = tuple("abcdefghijkl")
    square = distances(12, random)
    sources, targets = every[:5], every[3:]
    x = square[:5, 3:]
    y = grid(with_main_effects((5, 9), random) - 1.5 * x, sources, targets)
    y.values[0, 2] = np.nan  # a missing cell
    drawn = label_permutations(sources, targets, num_permutations=499, random=random)
    found = associated(y, x, drawn, main_effects=True)
    assert found.r < -0.5
    assert found.p <= 0.01
    assert found.num_pairs == 45 - 2 - 1
    # Mirrored, it is the same partial correlation that least squares gives.
    cells = y.observed
    row, column = np.nonzero(cells)
    design = np.hstack([np.eye(5)[row], np.eye(9)[column]])
    project = np.eye(len(row)) - design @ np.linalg.pinv(design)
    expected = np.corrcoef(project @ x[cells], project @ y.values[cells])[0, 1]
    assert found.r == pytest.approx(expected)


def test_what_does_not_vary_or_leaves_no_pair_is_said() -> None:
    random = np.random.default_rng(4)
    y = grid(random.standard_normal((4, 4)), NAMES[:4], NAMES[:4])
    drawn = label_permutations(y.sources, y.targets, num_permutations=99, random=random)
    flat = associated(y, np.ones((4, 4)), drawn)
    assert math.isnan(flat.p)
    assert flat.note == "under 1% of its variance is beyond the controls"
    two = grid(random.standard_normal((2, 3)), ("a", "b"), ("c", "d", "e"))
    drawn = label_permutations(two.sources, two.targets, num_permutations=99, random=random)
    few = associated(two, random.standard_normal((2, 3)), drawn, main_effects=True)
    assert "needs at least 3 pairs beyond the controls; found 2" in few.note


def test_corrections_are_the_textbook_ones() -> None:
    p = np.array([0.01, 0.04, math.nan, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True)
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, math.nan, 0.04, 0.02], nan_ok=True)


def test_the_detectable_r_of_an_incomplete_grid_is_reached_by_chance_in_one_of_twenty() -> None:
    random = np.random.default_rng(3)
    sources, targets = NAMES[:4], NAMES[2:10]
    reached = []
    for _ in range(300):
        x = distances(10, random)[:4, 2:10]
        y = grid(with_main_effects((4, 8), random), sources, targets)
        y.values[random.integers(4), random.integers(8)] = np.nan
        drawn = label_permutations(sources, targets, num_permutations=99, random=random)
        found = associated(y, x, drawn, main_effects=True)
        assert found.freedom == found.num_pairs - 4 - 8 + 1
        reached.append(abs(found.r) >= found.critical_r)
    assert 0.02 <= np.mean(reached) <= 0.09


def test_more_languages_bring_the_pairs_of_a_grid_of_the_same_shape() -> None:
    complete = {size: size * (size - 1) - 2 * size + 1 for size in (6, 8)}
    assert freedom_with(2, 6, 30, complete[6]) == pytest.approx(complete[8])
    # Three sources into twelve targets are fewer pairs than twelve into twelve would be.
    assert freedom_with(2, 12, 33, 33 - 3 - 12 + 1) < 14 * 13 - 2 * 14 + 1
