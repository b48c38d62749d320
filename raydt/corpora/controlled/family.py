"""Two daughters of one older language, in the manner of Portuguese and Spanish.

Every word of the older language went through the sound laws of each daughter, so that what is
kept corresponds regularly (`plano` is `chao` in one and `llano` in the other, `porta` is `porta`
and `puerta`), and some words were replaced altogether.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from raydt.corpora.controlled.dials import choose_kept
from raydt.corpora.controlled.surface import (
    NUM_SUFFIXES,
    NUM_SYLLABLES,
    NUM_WORDS,
    Surface,
    build_word,
)

Daughter: TypeAlias = Literal["lusa", "hispa"]
# Of Portuguese and Spanish 0.89 of a list of common words are cognate (Ethnologue).
COGNATE_SHARE = 0.89
_ONSETS = ["p", "t", "k", "b", "d", "g", "f", "s", "l", "r", "m", "n", "pl", "kl", "fl"]
_VOWELS = list("aeiou")
_CODAS = ["n", "s", "l", "r"]
_CLOSED_RATE = 0.35


@dataclass(frozen=True)
class _Law:
    before: re.Pattern[str]
    after: str
    once: bool = False  # only the first place, as of a stressed syllable

    def apply(self, word: str) -> str:
        return self.before.sub(self.after, word, count=int(self.once))


_STRESSED_AND_CLOSED = r"(?=[nslr](?:[^aeiou]|$))"
_LAWS: dict[Daughter, tuple[_Law, ...]] = {
    "lusa": (
        _Law(re.compile("^(?:pl|kl|fl)"), "ch"),
        _Law(re.compile("(?<=[aeiou])n(?=[aeiou])"), ""),  # lua, not luna
        _Law(re.compile("n$"), "m"),
    ),
    "hispa": (
        _Law(re.compile("^(?:pl|kl|fl)"), "ll"),
        _Law(re.compile("^f"), "h"),
        _Law(re.compile("o" + _STRESSED_AND_CLOSED), "ue", once=True),
        _Law(re.compile("(?<!u)e" + _STRESSED_AND_CLOSED), "ie", once=True),
    ),
}


@dataclass(frozen=True)
class Ancestor:
    """The older language, of which there are no texts."""

    syllables: tuple[str, ...]
    words: tuple[str, ...]
    suffixes: tuple[str, ...]


def apply_laws(word: str, daughter: Daughter) -> str:
    """What became of a word of the older language."""
    for law in _LAWS[daughter]:
        word = law.apply(word)
    return word


def build_ancestor(seed: int) -> Ancestor:
    """The older language of a family."""
    rng = np.random.default_rng([seed, 6])
    found: dict[str, None] = {}  # a set that keeps its order
    while len(found) < NUM_SYLLABLES:
        coda = rng.choice(_CODAS) if rng.random() < _CLOSED_RATE else ""
        found[str(rng.choice(_ONSETS) + rng.choice(_VOWELS) + coda)] = None
    syllables = tuple(found)
    taken: set[str] = set()
    words = tuple(build_word(syllables, taken, rng) for _ in range(NUM_WORDS))
    suffixes: list[str] = []
    # Suffixes are never where a word begins, and the laws of beginnings may not change them.
    for syllable in (s for s in syllables if s[0] != "f" and s[1] in _VOWELS):
        # Two suffixes that fall together would no longer say what they say.
        if all(
            apply_laws(syllable, daughter) not in {apply_laws(s, daughter) for s in suffixes}
            for daughter in _LAWS
        ):
            suffixes.append(syllable)
        if len(suffixes) == NUM_SUFFIXES:
            break
    return Ancestor(syllables, words, tuple(suffixes))


def build_daughter(seed: int, daughter: Daughter) -> Surface:
    """One of the two daughters. Words that fall together under its laws, and in `hispa` those that
    are not cognate, are replaced by new ones of the same making."""
    ancestor = build_ancestor(seed)
    rng = np.random.default_rng([seed, 7, list(_LAWS).index(daughter)])
    share = COGNATE_SHARE if daughter == "hispa" else 1.0
    cognate = choose_kept(NUM_WORDS, share, rng)
    coined = set(ancestor.words)
    taken: set[str] = set()
    words = []
    for old, kept in zip(ancestor.words, cognate, strict=True):
        word = apply_laws(old, daughter)
        while word in taken or not kept:
            kept = True
            word = apply_laws(build_word(ancestor.syllables, coined, rng), daughter)
        taken.add(word)
        words.append(word)
    return Surface(
        syllables=ancestor.syllables,  # of names, which both have alike
        words=tuple(words),
        suffixes=tuple(apply_laws(suffix, daughter) for suffix in ancestor.suffixes),
        order="SVO",
        adjective_first=False,
        place_first=False,
    )
