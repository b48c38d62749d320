"""A surface as unlike the demo's as the generator has it: clusters, diphthongs and syllables
without a consonant, prefixes for suffixes, and an object before the subject."""

from __future__ import annotations

import numpy as np

from raydt.corpora.controlled.surface import (
    CONSONANTS,
    NUM_SUFFIXES,
    NUM_SYLLABLES,
    NUM_WORDS,
    VOWELS,
    Surface,
    build_word,
)

# Those that `build_surface` has not.
ORDERS = ("VOS", "OVS", "OSV")
_NO_ONSET, _CLUSTER = 0.2, 0.35  # of the syllables; the rest have one consonant
_DIPHTHONG = 0.3


def build_distant(seed: int) -> Surface:
    """The distant surface of a seed."""
    rng = np.random.default_rng([seed, 5])
    syllables = _syllables(rng)
    taken: set[str] = set()
    words = tuple(build_word(syllables, taken, rng) for _ in range(NUM_WORDS))
    return Surface(
        syllables=syllables,
        words=words,
        suffixes=tuple(str(affix) for affix in rng.choice(syllables, NUM_SUFFIXES, replace=False)),
        order=str(rng.choice(ORDERS)),
        adjective_first=bool(rng.integers(2)),
        place_first=bool(rng.integers(2)),
        prefixing=True,
    )


def _syllables(rng: np.random.Generator) -> tuple[str, ...]:
    consonants = rng.choice(CONSONANTS, 12, replace=False)
    first, second = consonants[:8], consonants[8:]
    vowels = rng.choice(VOWELS, 3, replace=False)
    found: dict[str, None] = {}  # a set that keeps its order
    while len(found) < NUM_SYLLABLES:
        kind = rng.random()
        onset = ""
        if kind > _NO_ONSET:
            onset = str(rng.choice(first))
        if kind > 1 - _CLUSTER:
            onset += str(rng.choice(second))
        nucleus = str(rng.choice(vowels))
        if rng.random() < _DIPHTHONG:
            nucleus += str(rng.choice(vowels[vowels != nucleus]))
        found[onset + nucleus] = None
    return tuple(found)
