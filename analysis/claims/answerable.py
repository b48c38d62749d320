"""Which claims a grid can answer, before anything is trained.

It depends only on the roles and distances of the languages: how labels permute, and what is left
beyond main effects. The smallest detectable effect with two or more seeds assumes the noise of the
simulations (docs/statistics.md) and is in per cent of a loss: only the ladder will tell what a loss
is worth in bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from analysis.claims import commutative, explained, hurt, similar, specific
from analysis.claims.correlates import MIN_PERMUTATIONS, known_languages
from analysis.claims.grid import Grid
from analysis.claims.permutation import associated, label_permutations
from analysis.claims.predictors import distances
from analysis.wording import counted

# Of log loss: of every run, and of the part that a pretrain passes on.
OWN_SD, PRETRAIN_SD = 0.004, 0.008
PAIR_SD = 0.1  # of log(D_E / D_F) of pairs beyond source, target and distance: that of the demo
LEVEL, POWER = 0.05, 0.8
NUM_PERMUTATIONS = 399
NUM_DRAWN = 20  # random matrices that give the critical |r|


@dataclass(frozen=True)
class Answerable:
    """Whether a claim can be decided, and what it could detect, or what would have to be added."""

    claim: str
    question: str
    can: bool
    detail: str


@dataclass(frozen=True)
class Axes:
    """A grid of all sources into all targets except themselves.

    rung_below: whether ladders have a rung below the smallest D_F.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    num_sizes: int
    num_seeds: int
    rung_below: bool = True

    @property
    def both(self) -> list[str]:
        """Languages in both roles."""
        return [name for name in self.sources if name in self.targets]

    @property
    def num_pairs(self) -> int:
        """Pairs of two different languages."""
        return len(self.sources) * len(self.targets) - len(self.both)


def answerable(axes: Axes) -> list[Answerable]:
    """One row per claim, in the order of the report; none for a grid without pairs."""
    if not axes.num_pairs:
        return []
    asked = (_similar, _similarity, _commutative, _specific, _hurt)
    return [ask(axes) for ask in asked]


def _similar(axes: Axes) -> Answerable:
    said = similar.NAME, similar.QUESTION
    rivals = max(sum(one != target for one in axes.sources) for target in axes.targets)
    if rivals < 2:
        return Answerable(*said, False, "needs another source")
    if axes.num_seeds < 2:
        return Answerable(*said, False, _SECOND_SEED)
    per_source = axes.num_pairs / len(axes.sources) * axes.num_sizes
    variance = 2 * (PRETRAIN_SD**2 + OWN_SD**2 / per_source) / axes.num_seeds
    rise = _shown(variance, len(axes.sources) * (axes.num_seeds - 1), LEVEL / 2)
    # The D_E of a source that gives nothing is as often below D_F, and there is no ladder there.
    below = "" if axes.rung_below else "; yes may need a rung below the smallest size"
    return Answerable(*said, True, f"detects sources whose losses differ by {rise:.1%}{below}")


def _similarity(axes: Axes) -> Answerable:
    said = explained.NAME, explained.QUESTION
    grid, x = _known(axes)
    random = np.random.default_rng(0)
    drawn = label_permutations(
        grid.sources, grid.targets, num_permutations=NUM_PERMUTATIONS, random=random
    )
    if len(drawn.sources) < MIN_PERMUTATIONS or not grid.different().any():
        return Answerable(*said, False, _more_languages(axes, explained.MIN_LANGUAGES))
    # With the distance itself as transfer: permuting labels of equal distances changes nothing.
    best = associated(
        Grid(grid.sources, grid.targets, _masked(grid, x)), x, drawn, main_effects=True
    )
    if math.isnan(best.p):
        return Answerable(*said, False, f"distances: {best.note}")
    if best.p > LEVEL:
        return Answerable(
            *said,
            False,
            f"no p below {best.p:.2g} possible: needs more languages, at different distances",
        )
    critical = [
        associated(
            Grid(grid.sources, grid.targets, _masked(grid, random.standard_normal(x.shape))),
            x,
            drawn,
            main_effects=True,
        ).critical_r
        for _ in range(NUM_DRAWN)
    ]
    return Answerable(*said, True, f"detects a correlation from |r| = {np.mean(critical):.2f}")


def _commutative(axes: Axes) -> Answerable:
    said = commutative.NAME, commutative.QUESTION
    both = len(axes.both)
    if both < commutative.MIN_LANGUAGES:
        return Answerable(*said, False, _more_languages(axes, commutative.MIN_LANGUAGES))
    if axes.num_seeds < 2:
        return Answerable(*said, False, _SECOND_SEED)
    pairs = both * (both - 1) // 2
    can = f"{pairs} pairs in both directions; needs pairs that differ beyond noise"
    return Answerable(*said, True, can)


def _specific(axes: Axes) -> Answerable:
    said = specific.NAME, specific.QUESTION
    if len(axes.sources) < 3 or len(axes.targets) < 3:
        return Answerable(*said, False, "needs 3 sources with known distances to 3 targets")
    grid, x = _known(axes)
    pairs = grid.different()
    found = None
    if len(grid.sources) >= 3 and len(grid.targets) >= 3:
        found = specific.beyond_effects(pairs, x)
    if found is None:
        return Answerable(*said, False, "needs languages at different, known distances")
    # What source and target do not explain of the distances may be little: three sources far from
    # all targets, and one near to all.
    _, rest, freedom = found
    error = PAIR_SD / math.sqrt(rest @ rest)
    seen = np.where(pairs, x, np.nan)
    apart = float((np.nanmax(seen, axis=0) - np.nanmin(seen, axis=0)).max())
    fold = math.exp(float(stdtrit(freedom, 1 - LEVEL)) * error * apart)
    if fold > 1 / specific.MOSTLY:
        needs = "needs sources near to one target and far from another"
        return Answerable(*said, False, needs)
    shown = f"detects a {fold:.2g}-fold D_E of the nearest over the farthest"
    return Answerable(*said, True, f"{counted(freedom, 'degree')} of freedom; {shown}")


def _hurt(axes: Axes) -> Answerable:
    said = hurt.NAME, hurt.QUESTION
    if axes.num_seeds < 2:
        return Answerable(*said, False, _SECOND_SEED)
    tests = axes.num_pairs * (axes.num_sizes + (axes.num_sizes > 1))
    variance = (2 * OWN_SD**2 + PRETRAIN_SD**2) / axes.num_seeds
    rise = _shown(variance, len(axes.sources) * (axes.num_seeds - 1), LEVEL / tests)
    return Answerable(*said, True, f"detects a cell whose loss is {rise:.1%} above scratch")


_SECOND_SEED = "needs a second seed: with one, the noise is unknown"


def _more_languages(axes: Axes, needed: int) -> str:
    both = len(axes.both)
    if both >= needed:
        return "needs languages whose distances are known"
    more = needed - both
    are = "is" if more == 1 else "are"
    return f"needs {counted(more, 'more language')} that {are} source and target"


def _known(axes: Axes) -> tuple[Grid, np.ndarray]:
    """The part of the grid whose distances are known, without values, and the distances."""
    names = {*axes.sources, *axes.targets}
    known = distances(names)
    kept = known_languages(
        known, Grid(axes.sources, axes.targets, np.zeros((len(axes.sources), len(axes.targets))))
    )
    sources = tuple(name for name in axes.sources if name in kept)
    targets = tuple(name for name in axes.targets if name in kept)
    x = known.loc[list(sources), list(targets)].to_numpy(dtype=float)
    return Grid(sources, targets, np.zeros(x.shape)), x


def _masked(grid: Grid, values: np.ndarray) -> np.ndarray:
    return np.where(grid.different(), values, np.nan)


def _shown(variance: float, freedom: int, level: float) -> float:
    """The increase of log loss that a one-sided test at this level detects with 80 % power."""
    score = stdtrit(freedom, 1 - level) + stdtrit(freedom, POWER)
    return float(score * math.sqrt(variance))
