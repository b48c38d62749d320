"""The two dials: how much of the world, and how much of the surface, a language has of another.

A share is exact and not a probability: of what is shared (documents of a world, words of a
surface) those that come first in a ranking are kept, as many as the share says. The ranking and
what stands in for one that is not kept do not depend on the share, so what is kept at 0.3 is kept
at 0.6, and what is replaced at both is replaced by the same. Words that are replaced are drawn
anew and may, by chance, be alike.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled import world as w
from raydt.corpora.controlled.surface import (
    FIRST_ADJECTIVE,
    FIRST_VERB,
    NUM_SUFFIXES,
    NUM_WORDS,
    Surface,
    build_word,
)
from raydt.corpora.controlled.world import Meanings, World


def choose_kept(num_rows: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows are kept; shape (num_rows,), `share` of them to the nearest."""
    kept: NDArray[np.bool_] = rng.permutation(num_rows) < int(share * num_rows + 0.5)
    return kept


def choose_shared(num_documents: int, share: float) -> NDArray[np.bool_]:
    """Which documents of a chunk speak of the world that is shared; shape (num_documents,).

    `share` of them to the nearest document, and as evenly as can be: the order in which documents
    join is that of van der Corput (1935), so that the beginning of a text has the share as well.
    """
    place = np.zeros(num_documents)
    number, digit = np.arange(num_documents), 0.5
    while number.any():
        place += digit * (number & 1)
        number, digit = number >> 1, digit / 2
    rank = place.argsort(kind="stable").argsort(kind="stable")
    shared: NDArray[np.bool_] = rank < int(share * num_documents + 0.5)
    return shared


@dataclass(frozen=True)
class SharedWorld:
    """Two worlds in one language: `share` of the documents speak of `base`, the others of `other`.

    Not a world with some of the rows of each: a model that has read half of the documents knows
    half as much of the world as one that has read all, but one that has read of a world half of
    whose rows are wrong knows little (docs/controlled.md has the figures).
    """

    base: World
    other: World
    share: float

    def tell(self, num_documents: int, rng: np.random.Generator) -> Meanings:
        """As `world.tell`. What is drawn does not depend on a world, so that both worlds say as
        many sentences of each document, of the same people."""
        again = deepcopy(rng)
        of_base = w.tell(self.base, num_documents, rng)
        of_other = w.tell(self.other, num_documents, again)
        is_shared = choose_shared(num_documents, self.share)[of_base.document]
        return Meanings(
            *(
                np.where(is_shared, getattr(of_base, part.name), getattr(of_other, part.name))
                for part in fields(Meanings)
            )
        )


def share_surface(base: Surface, share: float, seed: int) -> Surface:
    """A surface with `share` of the nouns, verbs, adjectives and suffixes of `base`, and its sounds
    and order of words. With a share of 1 it is `base`."""
    rng = np.random.default_rng([seed, 4])
    kinds = (FIRST_VERB, FIRST_ADJECTIVE - FIRST_VERB, NUM_WORDS - FIRST_ADJECTIVE)
    kept_words = np.concatenate([choose_kept(number, share, rng) for number in kinds])
    kept_suffixes = choose_kept(NUM_SUFFIXES, share, rng)
    taken = set(base.words)
    new_words = [build_word(base.syllables, taken, rng) for _ in range(NUM_WORDS)]
    fresh = [syllable for syllable in base.syllables if syllable not in base.suffixes]
    new_suffixes = [str(suffix) for suffix in rng.choice(fresh, NUM_SUFFIXES, replace=False)]
    return replace(
        base,
        words=_pick(kept_words, base.words, new_words),
        suffixes=_pick(kept_suffixes, base.suffixes, new_suffixes),
    )


def _pick(kept: NDArray[np.bool_], old: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
    return tuple(o if k else n for k, o, n in zip(kept, old, new, strict=True))
