"""What might explain a transfer: matrices over ordered pairs of languages, by name.

Distances come from `analysis.distances`; the corpora's own numbers from their manifests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd

from analysis.claims.scripts import common_share, script_shares
from analysis.distances.table import KINDS, PREDICTED, iso639_3, language_distances
from raydt.corpora.controlled.distance import controlled_distance

# Contains the other kinds of typology, so it is tested on its own and not beside them.
OVERLAPPING = "featural"
# The predictor on which the claim of similarity rests, named before any data are seen: the mean of
# these kinds of distance, as far as they are known. The others are exploration.
PREREGISTERED = "distance"
MEAN_OF = ("syntactic", "genetic", "geographic", "phonological", "inventory")


@dataclass(frozen=True)
class CorpusFacts:
    """bytes_per_character by language; contamination: share of a language's (first key) text that
    is in another (second key); scripts: shares of a language's letters by ISO 15924; notes: what
    could not be read, and why."""

    bytes_per_character: dict[str, float] = field(default_factory=dict)
    contamination: dict[str, dict[str, float]] = field(default_factory=dict)
    scripts: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def corpus_facts(folder: Path, languages: Iterable[str]) -> CorpusFacts:
    """Facts from the manifests under a folder of prepared corpora, for these languages.

    A language that stands in several corpora with different numbers is left out with a note: which
    of them a sweep used is not for us to guess.
    """
    wanted, found = set(languages), CorpusFacts()
    texts: dict[str, list[dict[str, object]]] = {}
    for path in sorted(folder.rglob("manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("language") in wanted:
            train = manifest.get("splits", {}).get("train", {})
            judged = (manifest.get("contamination") or {}).get("restricted")
            fact = {"bytes_per_character": train.get("bytes_per_character"), "judged": judged}
            mine = texts.setdefault(str(manifest["language"]), [])
            if fact not in mine:
                mine.append(fact)
            sample = path.with_name("test.bin")
            if sample.exists():
                found.scripts[str(manifest["language"])] = script_shares(sample)
    by_code = {iso639_3(name): name for name in wanted if iso639_3(name)}
    for language, facts in texts.items():
        if len(facts) > 1:
            found.notes.append(
                f"{language} is in {len(facts)} prepared corpora with different numbers: its "
                "bytes per character and contamination are not used."
            )
            continue
        ratio, judged = facts[0]["bytes_per_character"], facts[0]["judged"]
        if isinstance(ratio, int | float):
            found.bytes_per_character[language] = float(ratio)
        if isinstance(judged, dict):
            shares = {iso639_3(str(code)): float(share) for code, share in judged.items()}
            found.contamination[language] = {
                name: shares.get(code, 0.0) for code, name in by_code.items() if name != language
            }
    return found


def distances(languages: Iterable[str]) -> pd.DataFrame:
    """The preregistered distance, (language, language), NaN where nothing is known of a pair: the
    mean of the published distances, of controlled languages what they were made with."""
    return _distances(tuple(sorted(set(languages)))).copy()


@cache
def _distances(names: tuple[str, ...]) -> pd.DataFrame:
    long = language_distances(names)
    known = pd.concat(
        [long[kind].fillna(long.get(PREDICTED.get(kind, kind))) for kind in MEAN_OF], axis=1
    )
    long["mean"] = known.mean(axis=1)
    square = long.pivot(index="language", columns="other", values="mean").astype(float)
    for one, other in product(names, names):
        made = controlled_distance(one, other)
        if made is not None:
            square.loc[one, other] = made
    for name in names:
        square.loc[name, name] = 0.0
    return square


def predictors(languages: Iterable[str], facts: CorpusFacts) -> dict[str, pd.DataFrame]:
    """Matrices (source, target) over all languages, NaN where unknown, by predictor.

    A kind of distance that URIEL does not know for some pair, but predicts for all, is taken from
    its predictions as a whole, and its name says so. Predictors unknown for every pair are left
    out.
    """
    names = sorted(set(languages))
    long = language_distances(names)
    found: dict[str, pd.DataFrame] = {}
    for kind in KINDS:
        square = long.pivot(index="language", columns="other", values=kind)
        placed = [name for name in names if iso639_3(name)]
        if kind in PREDICTED and square.loc[placed, placed].isna().any(axis=None):
            predicted = long.pivot(index="language", columns="other", values=PREDICTED[kind])
            found[f"{kind} (predicted by URIEL)"] = predicted
        else:
            found[kind] = square
    if facts.bytes_per_character:
        ratio = facts.bytes_per_character
        found["bytes per character (log ratio)"] = _square(
            names,
            lambda one, other: abs(math.log(ratio.get(one, math.nan) / ratio.get(other, math.nan))),
        )
    if facts.scripts:
        scripts = facts.scripts
        found["script (letters not in common)"] = _square(
            names,
            lambda one, other: (
                1 - common_share(scripts[one], scripts[other])
                if scripts.get(one) and scripts.get(other)
                else math.nan
            ),
        )
    if facts.contamination:
        shares = facts.contamination
        found["target's text in source"] = _square(
            names, lambda one, other: shares.get(one, {}).get(other, math.nan)
        )
        found["source's text in target"] = _square(
            names, lambda one, other: shares.get(other, {}).get(one, math.nan)
        )
    off = ~pd.DataFrame(
        [[one == other for other in names] for one in names], index=names, columns=names
    )
    return {
        name: square for name, square in found.items() if square.where(off).notna().any(axis=None)
    }


def _square(names: list[str], value: object) -> pd.DataFrame:
    assert callable(value)
    return pd.DataFrame(
        [[value(one, other) for other in names] for one in names], index=names, columns=names
    )
