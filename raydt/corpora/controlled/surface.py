"""Surfaces: how a language says what a world means.

A surface is a phonotactics (which syllables there are), a lexicon (a word per concept), a
morphology (suffixes for tense, number, object and place) and an order of words. What is built here
is in Latin letters; `scripts` writes it in others.

A sister language keeps each word and each suffix of its parent with probability `share`, and
replaces the rest by new ones of the same phonotactics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raydt.corpora.controlled import world

NUM_SYLLABLES = 64
VOWELS = list("aeiou")
CONSONANTS = [letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in VOWELS]

NUM_WORDS = world.NUM_NOUNS + world.NUM_VERBS + world.NUM_ADJECTIVES
FIRST_VERB = world.NUM_NOUNS
FIRST_ADJECTIVE = FIRST_VERB + world.NUM_VERBS
# Suffixes, in this order: one per tense, plural of nouns, plural of adjectives, object, place.
PLURAL = world.NUM_TENSES
ADJECTIVE_PLURAL = PLURAL + 1
OBJECT = PLURAL + 2
PLACE = PLURAL + 3
NUM_SUFFIXES = PLURAL + 4


@dataclass(frozen=True)
class Surface:
    """Strings of one language."""

    syllables: tuple[str, ...]  # (NUM_SYLLABLES,)
    words: tuple[str, ...]  # (NUM_WORDS,), nouns, verbs, adjectives
    suffixes: tuple[str, ...]  # (NUM_SUFFIXES,)
    order: str  # a permutation of "SVO"
    adjective_first: bool
    place_first: bool
    prefixing: bool = False  # the suffixes stand before their words


def _syllables(rng: np.random.Generator) -> tuple[str, ...]:
    consonants = rng.choice(CONSONANTS, 10, replace=False)
    vowels = rng.choice(VOWELS, 4, replace=False)
    codas = rng.choice(consonants, 3, replace=False)
    closed = rng.random() * 0.5
    found: dict[str, None] = {}  # a set that keeps its order
    while len(found) < NUM_SYLLABLES:
        coda = rng.choice(codas) if rng.random() < closed else ""
        found[rng.choice(consonants) + rng.choice(vowels) + coda] = None
        # Few letters may not give enough open syllables; let closed ones in.
        closed = min(1.0, closed + 0.002)
    return tuple(found)


def build_word(syllables: tuple[str, ...], taken: set[str], rng: np.random.Generator) -> str:
    """A new word of one to three syllables, which joins those that are taken."""
    while True:
        length = rng.choice([1, 2, 3], p=[0.15, 0.55, 0.3])
        word = "".join(rng.choice(syllables, length))
        if word not in taken:
            taken.add(word)
            return word


def build_surface(seed: int) -> Surface:
    """The surface of a seed, unlike that of any other."""
    rng = np.random.default_rng([seed, 1])
    syllables = _syllables(rng)
    taken: set[str] = set()
    return Surface(
        syllables=syllables,
        words=tuple(build_word(syllables, taken, rng) for _ in range(NUM_WORDS)),
        suffixes=tuple(
            str(suffix) for suffix in rng.choice(syllables, NUM_SUFFIXES, replace=False)
        ),
        order=str(rng.choice(["SVO", "SOV", "VSO"])),
        adjective_first=bool(rng.integers(2)),
        place_first=bool(rng.integers(2)),
    )


def build_sister(parent: Surface, share: float, seed: int) -> Surface:
    """A sister of `parent` that keeps each word and suffix with probability `share`."""
    rng = np.random.default_rng([seed, 2])
    taken = set(parent.words)

    def keep() -> bool:
        return bool(rng.random() < share)

    words = tuple(
        word if keep() else build_word(parent.syllables, taken, rng) for word in parent.words
    )
    fresh = [syllable for syllable in parent.syllables if syllable not in parent.suffixes]
    new_suffixes = rng.choice(fresh, NUM_SUFFIXES, replace=False)
    suffixes = tuple(
        old if keep() else str(new) for old, new in zip(parent.suffixes, new_suffixes, strict=True)
    )
    return replace(parent, words=words, suffixes=suffixes)
