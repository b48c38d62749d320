"""The two dials: how much of the world, and how much of the surface, a language has of another.

A share is exact and not a probability: of each table, the rows that come first in a random ranking
are kept, as many as the share says. The ranking and what stands in for a row that is not kept do
not depend on the share, so what is kept at 0.3 is kept at 0.6, and a row that is replaced at both
is replaced by the same. Whatever is replaced is drawn anew and may, by chance, be alike.
"""

from __future__ import annotations

from dataclasses import replace

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
from raydt.corpora.controlled.world import World


def choose_kept(num_rows: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows are kept; shape (num_rows,), `share` of them to the nearest row."""
    kept: NDArray[np.bool_] = rng.permutation(num_rows) < int(share * num_rows + 0.5)
    return kept


def share_world(base: World, share: float, seed: int) -> World:
    """A world with `share` of the rows of each table of `base`; the others are those of a world
    of `seed`. With a share of 1 it is `base`.

    A row is what one topic prefers of the verbs, what a verb wants as object, what a topic prefers
    within a class of nouns, or which adjectives a class takes.
    """
    other = w.build_world(seed)
    rng = np.random.default_rng([seed, 3])

    def table(of_base: np.ndarray, of_other: np.ndarray, row_axes: int) -> np.ndarray:
        shape = of_base.shape[:row_axes]
        kept = choose_kept(int(np.prod(shape)), share, rng).reshape(shape)
        kept = kept.reshape(shape + (1,) * (of_base.ndim - row_axes))
        return np.where(kept, of_base, of_other)

    return World(
        verb_by_topic=table(base.verb_by_topic, other.verb_by_topic, 1),
        object_class_by_verb=table(base.object_class_by_verb, other.object_class_by_verb, 1),
        noun_by_topic_class=table(base.noun_by_topic_class, other.noun_by_topic_class, 2),
        adjective_by_class=table(base.adjective_by_class, other.adjective_by_class, 1),
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
