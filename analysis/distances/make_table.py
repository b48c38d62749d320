"""Make distances.csv from URIEL, once; the two packages are no dependency of raydt.

    pip install --no-deps --target URIEL urielplus==1.3.2 lang2vec==1.1.2
    python analysis/distances/make_table.py URIEL

reads the arrays that the wheels carry (URIEL's features, families and Glottolog's coordinates from
urielplus; URIEL's nearest-neighbour predictions from lang2vec) and nothing of their code.

Angular distances are those of URIEL (Littell et al. 2017, E17-2002): 2/pi times the angle between
the two vectors, here over the features that are known of *both* languages, and NaN with fewer than
`MIN_SHARED_FEATURES` of them or where a vector is zero. lang2vec gives 1.0 there, which reads like
an answer. `*_knn` are the same over URIEL's predictions, as its own published distances are.
"""

from __future__ import annotations

import csv
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).parent
MIN_SHARED_FEATURES = 10
PREFIXES: dict[str, tuple[str, ...]] = {
    "syntactic": ("S_",),
    "phonological": ("P_",),
    "inventory": ("INV_",),
}
PREFIXES["featural"] = ("S_", "P_", "INV_")
HEADER = """\
# Distances between languages, 0 (alike) to 1; empty: URIEL has no data. Symmetric; each pair once.
# Source: URIEL (Littell et al. 2017, https://aclanthology.org/E17-2002/) as carried by urielplus
# 1.3.2 (Khan et al. 2025) and lang2vec 1.1.2; coordinates from Glottolog. Computed by
# analysis/distances/make_table.py. Licence of this file: CC BY-SA 4.0, see LICENSE beside it.
"""


def main(folder: Path) -> None:
    """Write distances.csv beside this file."""
    with (HERE / "languages.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    languages = sorted((row["iso639_3"], row["filled_from"]) for row in rows)
    vectors = _vectors(folder, languages)
    places = _places(folder, languages)
    names = ["geographic", "genetic", *PREFIXES, *(f"{kind}_knn" for kind in PREFIXES)]
    shared = [f"{kind}_shared_features" for kind in PREFIXES]
    with (HERE / "distances.csv").open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER)
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["language", "other", *names, *shared])
        for (one, _), (other, _) in combinations(languages, 2):
            found = {"geographic": _orthodromic(places.get(one), places.get(other))}
            counts = {}
            for name, by_language in vectors.items():
                found[name], counts[name] = _angular(by_language[one], by_language[other])
            writer.writerow(
                [one, other, *(_text(found[name]) for name in names)]
                + [str(counts[kind]) for kind in PREFIXES]
            )


def _vectors(folder: Path, languages: list[tuple[str, str]]) -> dict[str, dict[str, Floats]]:
    """The feature vectors by kind and language; NaN where unknown."""
    original = folder / "urielplus" / "database" / "original_uriel"
    typology = np.load(original / "features.npz")
    predicted = np.load(folder / "lang2vec" / "data" / "feature_predictions.npz")
    families = np.load(original / "family_features.npz")
    found: dict[str, dict[str, Floats]] = {"genetic": _of(families, languages, ("F_",))}
    for kind, prefixes in PREFIXES.items():
        found[kind] = _of(typology, languages, prefixes)
        found[f"{kind}_knn"] = _of(predicted, languages, prefixes)
    # A language without any family is one that URIEL does not place: not one without relatives.
    for code, vector in found["genetic"].items():
        if not np.nansum(vector):
            found["genetic"][code] = np.full_like(vector, np.nan)
    return found


def _of(
    arrays: Any, languages: list[tuple[str, str]], prefixes: tuple[str, ...]
) -> dict[str, Floats]:
    columns = np.array([str(name).startswith(prefixes) for name in arrays["feats"]])
    place = {str(code): row for row, code in enumerate(arrays["langs"])}
    data = arrays["data"][:, columns]
    found = {}
    for code, filled_from in languages:
        vector = np.full(int(columns.sum()), np.nan)
        for source in (code, filled_from):
            if source in place:
                values = data[place[source]].astype(float)
                # "Union" of the databases: a feature that any of them attests.
                best = np.where(values < 0, -np.inf, values).max(axis=1)
                known = np.isfinite(best) & np.isnan(vector)
                if "F_" in prefixes and np.nansum(vector):
                    break  # one place in the tree, not two
                vector[known] = best[known]
        found[code] = vector
    return found


def _angular(one: Floats, other: Floats) -> tuple[float, int]:
    both = np.isfinite(one) & np.isfinite(other)
    count = int(both.sum())
    norms = float(np.linalg.norm(one[both]) * np.linalg.norm(other[both]))
    if count < MIN_SHARED_FEATURES or norms == 0:
        return float("nan"), count
    return float(2 / np.pi * np.arccos(np.clip(one[both] @ other[both] / norms, -1, 1))), count


def _places(folder: Path, languages: list[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    tables = folder / "urielplus" / "database" / "urielplus_csvs"
    with (tables / "uriel_glottocode_map.csv").open(encoding="utf-8") as lines:
        glottocodes = {row["iso_code"]: row["glottocode"] for row in csv.DictReader(lines)}
    with (tables / "lang_fam_geo.csv").open(encoding="utf-8") as lines:
        places = {
            row["language_id"]: (float(row["latitude"]), float(row["longitude"]))
            for row in csv.DictReader(lines)
            if row["latitude"] and row["longitude"]
        }
    found = {}
    for code, filled_from in languages:
        for source in (code, filled_from):
            if code not in found and glottocodes.get(source) in places:
                found[code] = places[glottocodes[source]]
    return found


def _orthodromic(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float:
    """Great-circle distance as a share of the way to the antipode."""
    if one is None or other is None:
        return float("nan")
    (lat1, lon1), (lat2, lon2) = np.radians(one), np.radians(other)
    half = np.sin((lat2 - lat1) / 2) ** 2
    half += np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return float(2 * np.arcsin(np.sqrt(min(1.0, half))) / np.pi)


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
