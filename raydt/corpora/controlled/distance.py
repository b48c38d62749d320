"""How far two controlled languages are from each other: known from how they are made."""

from __future__ import annotations

from functools import cache

import numpy as np

from raydt.corpora.controlled.languages import ControlledLanguage
from raydt.corpora.controlled.names import check_name, find_language


def controlled_distance(one: str, other: str) -> float | None:
    """0 (the same) to 1: the mean of the distance of their words and that of their worlds.

    Words: Levenshtein distance over the longer length, the mean over all concepts and affixes (LDN;
    Holman et al., Folia Linguistica 42, 2008). Worlds: share of the documents that speak of a world
    which the other does not speak of. None where one is no controlled language, or says nothing
    (nonsense, brackets) and so has neither.
    """
    if one == other:
        return 0.0
    if check_name(one) or check_name(other):
        return None
    first, second = find_language(one), find_language(other)
    if first.content != "world" or second.content != "world":
        return None
    return (_words_apart(*sorted((one, other))) + _worlds_apart(first, second)) / 2


def _worlds_apart(one: ControlledLanguage, other: ControlledLanguage) -> float:
    both = min(one.world_share, other.world_share)  # of the world of `related`
    if one.seed(0) == other.seed(0):
        both += min(1 - one.world_share, 1 - other.world_share)
    return 1 - both


@cache
def _words_apart(one: str, other: str) -> float:
    # The seed of a corpus draws other words, and keeps as many of them.
    first, second = (find_language(name).build_surface(0) for name in (one, other))
    said = zip((*first.words, *first.suffixes), (*second.words, *second.suffixes), strict=True)
    return float(np.mean([_edits(a, b) / max(len(a), len(b), 1) for a, b in said]))


def _edits(one: str, other: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and substitutions."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row[0] = row[0], place
        for at, another in enumerate(other, 1):
            before, row[at] = (
                row[at],
                min(row[at] + 1, row[at - 1] + 1, before + (letter != another)),
            )
    return row[-1]
