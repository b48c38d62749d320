"""The simulated worlds, and what is checked in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from analysis.claims.claim import Verdict
from analysis.claims.hurt import NEGLIGIBLE
from analysis.claims.specific import MOSTLY, SHARES
from analysis.claims.specific import NAME as SPECIFIC
from analysis.simulate import plants
from analysis.simulate.trial import (
    Found,
    Trial,
    alike,
    effects_covered,
    laws_tested,
    pooled_alpha,
    transfer_covered,
)
from analysis.simulate.world import TEN, Noise, Plant, World, law, sigmoid, step_limited

YES, NO, OPPOSITE = Verdict.YES, Verdict.NO, Verdict.OPPOSITE


class Kind(StrEnum):
    """The meaning of a share, which determines the band it should lie in."""

    LEVEL = "level"  # a test of 5 % under its null
    FALSE = "false verdict"
    POWER = "power"
    COVERAGE = "90 % interval"
    SHOWN = "share"  # no band: how often the true verdict is given
    VALUE = "value"


BANDS = {
    Kind.LEVEL: (0.02, 0.08),
    Kind.FALSE: (0.0, 0.05),
    Kind.POWER: (0.90, 1.0),
    Kind.COVERAGE: (0.86, 0.94),
}


Asked = dict[tuple[str, Kind], list[float]]  # results of one grid


@dataclass(frozen=True)
class Planted:
    """A named world: how it is made from languages and seeds, and what is checked in a trial.

    resampled: whether that needs resamples, the most expensive part; harm and similarity do not.
    """

    name: str
    world: Callable[[tuple[str, ...], int], World]
    asked: Callable[[Trial], Asked]
    resampled: bool = True


def _world(plant: Plant, **options: object) -> Callable[[tuple[str, ...], int], World]:
    base = World(TEN, 2, plant, **options)  # type: ignore[arg-type]

    def made(languages: tuple[str, ...], num_seeds: int) -> World:
        return replace(base, languages=languages, num_seeds=num_seeds)

    return made


def _verdicts(*asked: tuple[str, Kind, tuple[Verdict, ...]]) -> Callable[[Trial], Asked]:
    def ask(trial: Trial) -> Asked:
        found: Asked = {}
        for claim, kind, verdicts in asked:
            words = " or ".join(f'"{one}"' for one in verdicts)
            found[f"{claim}: {words}", kind] = [trial.says(claim, *verdicts)]
        return found

    return ask


def _equal(trial: Trial) -> Asked:
    found = _verdicts(
        ("similar", Kind.FALSE, (NO,)),
        ("similar", Kind.SHOWN, (YES,)),
        ("commutative", Kind.FALSE, (YES, NO)),
        ("similarity", Kind.LEVEL, (YES, OPPOSITE)),
        ("specific", Kind.FALSE, (NO,)),
        ("hurt", Kind.FALSE, (YES,)),
        ("hurt", Kind.SHOWN, (NO,)),
    )(trial)
    found |= _kinds(effects_covered(trial))
    found |= {(name, Kind.LEVEL): values for name, values in laws_tested(trial).items()}
    return found | {("D_T", Kind.COVERAGE): transfer_covered(trial)}


def _kinds(found: Found) -> Asked:
    return {
        (name, Kind.LEVEL if "F," in name else Kind.COVERAGE): values
        for name, values in found.items()
    }


def _one_source(trial: Trial) -> Asked:
    found = _verdicts(("similar", Kind.FALSE, (YES,)), ("similar", Kind.POWER, (NO,)))(trial)
    effects = effects_covered(trial)
    name = "sources alike (F, pretrains the unit)"
    covered = {(one, Kind.COVERAGE): values for one, values in effects.items() if one != name}
    return found | {(name, Kind.POWER): effects[name]} | covered


def _share(trial: Trial) -> Asked:
    """Whether the interval covers the true agnostic share, and the verdict is right."""
    true = plants.agnostic_share(trial.world.languages, float(np.nanmean(trial.planted)))
    wrong = [NO] if true > MOSTLY else [YES]
    if true > MOSTLY and not alike(trial.planted):
        wrong.append(YES)
    found: Asked = {('specific: a false "yes" or "no"', Kind.FALSE): [trial.says(SPECIFIC, *wrong)]}
    table = trial.answer(SPECIFIC).tables.get(SHARES)
    if table is not None:
        row = table.iloc[0]
        covered = float(row["low"] <= true <= row["high"])
        found["share of the farthest", Kind.COVERAGE] = [covered]
    return found


def _alpha(trial: Trial) -> Asked:
    found = pooled_alpha(trial, plants.ALPHA)
    kinds = {"alpha, median": Kind.VALUE}
    return {(name, kinds.get(name, Kind.COVERAGE)): values for name, values in found.items()}


def _transfer(trial: Trial) -> Asked:
    """Over all D_F, and at the extremes, where noise that depends on size shows."""
    covered, sizes = transfer_covered(trial), trial.effective["finetune_bytes"]
    ends = {"smallest": sizes.min(), "largest": sizes.max()}
    found: Asked = {("D_T", Kind.COVERAGE): covered}
    for name, end in ends.items():
        mine = [one for one, size in zip(covered, sizes, strict=True) if size == end]
        found[f"D_T at the {name} D_F", Kind.COVERAGE] = mine
    return found


WORLDS = [
    Planted("equal languages", _world(plants.equal), _equal),
    Planted(
        "D_T = 0",
        _world(plants.nothing),
        _verdicts(("hurt", Kind.LEVEL, (YES,)), ("hurt", Kind.SHOWN, (NO,))),
        resampled=False,
    ),
    Planted(
        "one cell 2 % above scratch, the edge",
        _world(plants.equal, harm=float(np.log1p(NEGLIGIBLE))),
        _verdicts(("hurt", Kind.FALSE, (NO,))),
        resampled=False,
    ),
    Planted(
        "one cell 25 % above scratch",
        _world(plants.equal, harm=float(np.log(1.25))),
        _verdicts(("hurt", Kind.POWER, (YES,)), ("hurt", Kind.FALSE, (NO,))),
        resampled=False,
    ),
    Planted("one source 2.7-fold", _world(plants.one_source(2.7)), _one_source),
    Planted("one source 7-fold", _world(plants.one_source(7.0)), _one_source),
    Planted(
        "one source 1.5-fold, the edge",
        _world(plants.one_source(1.5)),
        _verdicts(("similar", Kind.FALSE, (YES, NO))),
    ),
    Planted(
        "symmetric pairs",
        _world(plants.pairs(1)),
        _verdicts(("commutative", Kind.POWER, (YES,)), ("commutative", Kind.FALSE, (NO,))),
    ),
    Planted(
        "antisymmetric pairs",
        _world(plants.pairs(-1)),
        _verdicts(("commutative", Kind.POWER, (NO,)), ("commutative", Kind.FALSE, (YES,))),
    ),
    Planted(
        "pairs by chance",
        _world(plants.pairs(None)),
        _verdicts(
            ("similarity", Kind.LEVEL, (YES, OPPOSITE)),
            ("specific", Kind.FALSE, (YES,)),
            ("similar", Kind.FALSE, (YES,)),
        ),
    ),
    Planted(
        "r = -.7 with distance",
        _world(plants.near_helps(0.7)),
        _verdicts(("similarity", Kind.POWER, (YES,)), ("similarity", Kind.FALSE, (NO, OPPOSITE))),
        resampled=False,
    ),
    Planted(
        "r = +.7 with distance",
        _world(plants.near_helps(-0.7)),
        _verdicts(("similarity", Kind.POWER, (OPPOSITE,)), ("similarity", Kind.FALSE, (YES, NO))),
        resampled=False,
    ),
    Planted(
        "r = -.3 with distance",
        _world(plants.near_helps(0.3)),
        _verdicts(("similarity", Kind.FALSE, (NO, OPPOSITE))),
        resampled=False,
    ),
    Planted("near gives more", _world(plants.near_gives(0.2)), _share),
    # Sources and targets differ, so that D_E are spread over the ladder.
    Planted("law, beta .6", _world(plants.effects, curve=law(beta=0.6, B=200.0)), _transfer),
    Planted("sigmoid", _world(plants.effects, curve=sigmoid), _transfer),
    Planted("limited by steps", _world(plants.effects, curve=step_limited), _transfer),
    Planted(
        "more noise below",
        _world(plants.effects, noise=Noise(own=0.008, growth=-0.25)),
        _transfer,
    ),
    Planted("seeds share rungs", _world(plants.effects, noise=Noise(scratch=0.008)), _transfer),
    Planted("weak transfer, k = 8", _world(plants.power_law(8.0, plants.ALPHA)), _alpha),
    Planted("weak transfer, k = 20", _world(plants.power_law(20.0, plants.ALPHA)), _alpha),
]
