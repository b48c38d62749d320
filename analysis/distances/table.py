"""Distances between languages by the names corpora give them.

The data, their source and licence: distances.csv, languages.csv and LICENSE beside this file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import pandas as pd

# The six of the method's paper; each tested on its own.
KINDS = ("syntactic", "genetic", "geographic", "phonological", "inventory", "featural")
# URIEL's predictions of missing features, used if a feature is missing for any requested pair.
PREDICTED = {
    "syntactic": "syntactic_knn",
    "phonological": "phonological_knn",
    "inventory": "inventory_knn",
    "featural": "featural_knn",
}


@cache
def _languages() -> dict[str, str]:
    """ISO 639-3 code by every name that a corpus may have."""
    text = (files("analysis.distances") / "languages.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        name: row["iso639_3"] for row in rows for name in (row["iso639_3"], *row["names"].split())
    }


@cache
def _table() -> pd.DataFrame:
    with (files("analysis.distances") / "distances.csv").open(encoding="utf-8") as lines:
        return pd.read_csv(lines, comment="#").set_index(["language", "other"]).sort_index()


def iso639_3(language: str) -> str | None:
    """The ISO 639-3 code of a corpus' name (`en`, `eng`, `zh`, `iw`), or None if it is none."""
    return _languages().get(language)


def language_distances(languages: Iterable[str]) -> pd.DataFrame:
    """Distances of every ordered pair of the languages, both orders and a language with itself.

    Columns language, other (the names given), the columns of distances.csv. NaN if URIEL has no
    data or a language is not in the table (for example a controlled one).
    """
    names = sorted(set(languages))
    table = _table()
    rows = []
    for one in names:
        for other in names:
            codes = sorted((iso639_3(one) or "", iso639_3(other) or ""))
            row: dict[str, object] = {"language": one, "other": other}
            if codes[0] and codes[0] == codes[1]:
                row |= dict.fromkeys(_distance_columns(table), 0.0)
            elif (codes[0], codes[1]) in table.index:
                row |= table.loc[(codes[0], codes[1])].to_dict()
            rows.append(row)
    return pd.DataFrame(rows, columns=["language", "other", *table.columns])


def _distance_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if not name.endswith("_shared_features")]
