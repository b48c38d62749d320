"""The analysis of one simulated grid, and checks of its results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.claims.claim import ClaimAnswer, Verdict
from analysis.claims.contrasts import source_contrasts, sources_differ_p
from analysis.claims.every import claim_answers
from analysis.claims.evidence import Evidence, evidence
from analysis.claims.grid import Grid, comparable, finetuned, pooled
from analysis.claims.quadratic import reach_of_all
from analysis.claims.similar import SIMILAR_FOLD
from analysis.claims.twoway import effects_table
from analysis.effective import Resamples, effective_with_draws
from analysis.ladder import cell_means
from analysis.laws.draws import TransferDraws
from analysis.laws.one_law import one_law_tests
from analysis.laws.transfer_table import transfer_laws
from analysis.simulate.world import MODEL, World
from analysis.uncertainty.noise import Noise, pooled_noise
from analysis.uncertainty.resample import draw_means

CONFIDENCE = 0.90
LEVEL = 0.05
NUM_PERMUTATIONS = 399

Found = dict[str, list[float]]  # check -> results, of which shares are shown


@dataclass(frozen=True)
class Trial:
    """A grid, its true log(D_E / D_F) (S, T, X), and its analysis, of which each part is computed
    when first needed."""

    world: World
    planted: Floats
    means: pd.DataFrame
    pooled: Mapping[str, Noise]
    resampled: Resamples
    _asked: dict[str, ClaimAnswer] = field(default_factory=dict)

    @cached_property
    def _read(self) -> tuple[pd.DataFrame, TransferDraws]:
        return effective_with_draws(self.means, self.resampled, noise=self.pooled, spread=False)

    @property
    def effective(self) -> pd.DataFrame:
        """The table of effective data."""
        return self._read[0]

    @property
    def draws(self) -> TransferDraws:
        """D_T of its rows in every resample."""
        return self._read[1]

    @cached_property
    def noise(self) -> Evidence:
        """The noise as claims see it."""
        return evidence(self.effective, self.means, self.pooled, self.draws)

    def answer(self, claim: str) -> ClaimAnswer:
        """One claim; for similarity with only the preregistered predictor."""
        if claim not in self._asked:
            found = claim_answers(
                self.effective,
                noise=self.noise,
                num_permutations=NUM_PERMUTATIONS,
                explore=False,
                forecast=False,
                names=(claim,),
            )
            self._asked.update({one.name: one for one in found})
        return self._asked[claim]

    def says(self, claim: str, *verdicts: Verdict) -> float:
        """Whether a claim has one of these verdicts."""
        return float(self.answer(claim).verdict in verdicts)


def run_trial(world: World, random: np.random.Generator, num_resamples: int) -> Trial:
    """Analyse one grid of a world; without resamples only its means."""
    cells, planted = world.grow(random)
    means = cell_means(cells)
    noise = pooled_noise(means, cells)
    drawn = np.full((1, len(means)), np.nan)
    if num_resamples:
        drawn = draw_means(means, noise, num_resamples=num_resamples, random=random, cells=cells)
    return Trial(world, planted, means, noise, Resamples(drawn, CONFIDENCE))


def transfer_covered(trial: Trial) -> list[float]:
    """Whether each interval of D_T covers the true D_T; a bound covers everything beyond it."""
    rows, world = trial.effective, trial.world
    place = {name: at for at, name in enumerate(world.languages)}
    size = {num_bytes: at for at, num_bytes in enumerate(world.sizes)}
    planted = trial.planted[
        rows["source"].map(place), rows["target"].map(place), rows["finetune_bytes"].map(size)
    ]
    true = rows["finetune_bytes"].to_numpy(dtype=float) * np.expm1(planted)
    low = rows["transferred_low_bytes"].where(rows["low_range"] == "inside", -np.inf)
    high = rows["transferred_high_bytes"].where(rows["high_range"] == "inside", np.inf)
    return [float(one) for one in (low.to_numpy() <= true) & (true <= high.to_numpy())]


def effects_covered(trial: Trial) -> Found:
    """Whether intervals of source and target effects, and of ratios between sources, cover the true
    values."""
    found = comparable(finetuned(trial.effective, MODEL, trial.noise)).found
    grid = pooled(found.rows, "log_ratio", found.drawn)
    pairs = trial.planted.mean(axis=2)
    # No pair effects: the effects are those of any complete row and column.
    source = _effects(pairs)
    target = _effects(pairs.T)
    table = effects_table(grid, CONFIDENCE).set_index(["role", "language"])
    covered: Found = defaultdict(list)
    for role, truth in (("source", source), ("target", target)):
        for name, value in zip(trial.world.languages, truth, strict=True):
            row = table.loc[(role, name)]
            covered[f"effect of a {role}"].append(float(row["low"] <= value <= row["high"]))
    covered |= _contrasts_covered(grid, dict(zip(trial.world.languages, source, strict=True)))
    covered["sources alike (F, pretrains the unit)"].append(
        float(sources_differ_p(grid, CONFIDENCE) <= LEVEL)
    )
    return covered


def _contrasts_covered(grid: Grid, source: Mapping[str, float]) -> Found:
    """Coverage of the intervals of ratios of D_E between sources, individual and simultaneous."""
    among = source_contrasts(grid)
    assert among.drawn is not None
    true = np.array([source[one] - source[other] for one, other in among.pairs])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(among.drawn, [tail, 1 - tail], axis=0)
    centre, reach = reach_of_all(among.drawn, 1 - CONFIDENCE)
    return {
        "ratio of two sources": [float(one) for one in (low <= true) & (true <= high)],
        "ratios of all sources at once": [float((np.abs(centre - true) <= reach).all())],
    }


def alike(planted: Floats) -> bool:
    """Whether sources are within the factor of each other, and pair effects too: whether "similar"
    is the true answer."""
    pairs = planted.mean(axis=2)
    source, target = _effects(pairs), _effects(pairs.T)
    rest = pairs - np.nanmean(pairs) - source[:, None] - target[None]
    edge = np.log(SIMILAR_FOLD)
    return bool(np.ptp(source) < edge and np.sqrt(2 * np.nanmean(rest**2)) < edge)


def _effects(pairs: Floats) -> Floats:
    """Row effects of an additive table without its diagonal."""
    number = len(pairs)
    row, column = np.nonzero(np.isfinite(pairs))
    design = np.hstack([np.eye(number)[row], np.eye(number)[column]])
    found = np.linalg.lstsq(design, pairs[row, column], rcond=None)[0][:number]
    return np.asarray(found - found.mean())


def laws_tested(trial: Trial) -> Found:
    """Rejections of "one law holds for all sources", pooled over targets."""
    tests = one_law_tests(trial.effective, draws=trial.draws)
    mine = tests[(tests["level"] == "pooled") & (tests["tested"] != "k and alpha")]
    return {
        f"one law: the same {row['tested']}": [float(row["p_value"] <= LEVEL)]
        for row in mine.to_dict("records")
    }


def pooled_alpha(trial: Trial, alpha: float) -> Found:
    """alpha of the pooled law, and whether its interval covers the true one."""
    laws = transfer_laws(trial.effective, draws=trial.draws, num_resamples=200, levels=("pooled",))
    row = laws.iloc[0]
    return {
        "alpha, median": [float(row["alpha"])],
        "interval of alpha": [float(row["alpha_low"] <= alpha <= row["alpha_high"])],
    }
