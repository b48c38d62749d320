"""Minimal pairs of a controlled language, from the rules that its text is made by.

    agreement   the adjective has the number of its noun; or the other one
    tense       a second sentence in the tense of the first; or in another
    order       subject, verb and object as the language has them; or verb and object exchanged
    facts       a verb with an object of the class that it wants; or with a noun of another class
    brackets    a bracket closed by its own kind; or by another

The bad text is never said in a corpus. As the probability of a text is a sum over its bytes, and a
shorter one has it easier, the kinds are balanced: half of the adjectives are plural, and the nouns
that are wrong are the right ones of other sentences.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled.brackets import CLOSING, build_preferences, write_brackets
from raydt.corpora.controlled.catalog import language_surface, language_world
from raydt.corpora.controlled.dials import SharedWorld
from raydt.corpora.controlled.draw import IntArray
from raydt.corpora.controlled.languages import ControlledLanguage
from raydt.corpora.controlled.names import find_language
from raydt.corpora.controlled.speak import Pieces, build_pieces, new_names, say
from raydt.corpora.controlled.surface import Surface
from raydt.corpora.controlled.world import (
    NONE,
    NOUNS_PER_CLASS,
    NUM_TENSES,
    Meanings,
    World,
    tell,
)
from raydt.corpora.splits import SEPARATOR, SPLITS
from raydt.errors import bad

PAIRS_PER_KIND = 250
# A document has one or two sentences with a noun and its adjective, of either number.
_DOCUMENTS_PER_PAIR = 4


class ControlledPair(NamedTuple):
    """Two texts in UTF-8, which differ in what `kind` says."""

    kind: str
    good: bytes
    bad: bytes


def build_pairs(language: str, seed: int, per_kind: int = PAIRS_PER_KIND) -> list[ControlledPair]:
    """`per_kind` pairs of each kind that a language has, the same for the same seed; none of the
    texts is of a split.

    `InputError` if there is no such language, or if its text follows no rule (`nonsense`).
    """
    found = find_language(language)
    rng = np.random.default_rng([seed, zlib.crc32(language.encode()), len(SPLITS)])
    if found.content == "nonsense":
        requirement = "one whose text follows rules, to have minimal pairs of its own"
        raise bad(f"language {language}", requirement, "words in no order")
    if found.content == "brackets":
        return _brackets(found, seed, per_kind, rng)
    speaker = _Speaker(found, seed, _DOCUMENTS_PER_PAIR * per_kind, rng)
    pairs: list[ControlledPair] = []
    for kind, make in _KINDS.items():
        # Words may be alike by chance, and what differs in meaning then not in text.
        differ = [pair for pair in zip(*make(speaker), strict=True) if pair[0] != pair[1]]
        assert len(differ) >= per_kind, f"{kind} in {language}: {len(differ)} pairs"
        pairs += [ControlledPair(kind, *pair) for pair in differ[:per_kind]]
    return pairs


class _Speaker:
    """Says sentences of one language, and what is nearly one."""

    def __init__(
        self, language: ControlledLanguage, seed: int, num_documents: int, rng: np.random.Generator
    ) -> None:
        world = language_world(language.name, seed)
        if isinstance(world, SharedWorld):
            self.worlds: list[World] = [world.base, world.other]
            self.meanings = world.tell(num_documents, rng)
        else:
            self.worlds = [world]
            self.meanings = tell(world, num_documents, rng)
        self.surface = language_surface(language.name, seed)
        self.rng = rng
        self._pieces: Pieces = build_pieces(self.surface)
        self._names = new_names(len(self.meanings.document), self._pieces, rng)

    def texts(
        self,
        meanings: Meanings,
        surface: Surface | None = None,
        disagrees: NDArray[np.bool_] | None = None,
    ) -> list[bytes]:
        """Each document of these meanings, as bytes."""
        said = say(meanings, self._names, self._pieces, surface or self.surface, disagrees)
        return said.tobytes().split(bytes([SEPARATOR]))[:-1]


def _agreement(speaker: _Speaker) -> tuple[list[bytes], list[bytes]]:
    m = speaker.meanings
    rows = _sentences(m, m.object_adjective != NONE)
    # One with a plural, one without, and so on.
    plural = rows.object_plural == 1
    number = min(plural.sum(), (~plural).sum())
    turns = np.stack([np.flatnonzero(plural)[:number], np.flatnonzero(~plural)[:number]], axis=1)
    rows = _rows(rows, turns.ravel())
    return speaker.texts(rows), speaker.texts(rows, disagrees=np.full(len(rows.document), True))


def _tense(speaker: _Speaker) -> tuple[list[bytes], list[bytes]]:
    m = speaker.meanings
    first = np.flatnonzero(np.append(True, m.document[1:] != m.document[:-1]))
    rows = _rows(m, np.stack([first, first + 1], axis=1).ravel())
    other = (rows.tense + speaker.rng.integers(1, NUM_TENSES, len(rows.tense))) % NUM_TENSES
    other[::2] = rows.tense[::2]
    return speaker.texts(rows), speaker.texts(replace(rows, tense=other))


def _order(speaker: _Speaker) -> tuple[list[bytes], list[bytes]]:
    m = speaker.meanings
    rows = _sentences(m, np.full(len(m.document), True))
    exchanged = speaker.surface.order.translate(str.maketrans("VO", "OV"))
    return speaker.texts(rows), speaker.texts(rows, replace(speaker.surface, order=exchanged))


def _facts(speaker: _Speaker) -> tuple[list[bytes], list[bytes]]:
    m = speaker.meanings
    # An adjective goes with classes too, and would tell.
    rows = _sentences(m, (m.object_noun != NONE) & (m.object_adjective == NONE))
    other = speaker.rng.permutation(rows.object_noun)
    wanted = [world.object_class_by_verb[rows.verb] for world in speaker.worlds]
    is_wrong = np.all([other // NOUNS_PER_CLASS != each for each in wanted], axis=0)
    kept = np.flatnonzero(is_wrong)
    rows = _rows(rows, kept)
    return speaker.texts(rows), speaker.texts(replace(rows, object_noun=other[kept]))


_KINDS: dict[str, Callable[[_Speaker], tuple[list[bytes], list[bytes]]]] = {
    "agreement": _agreement,
    "tense": _tense,
    "order": _order,
    "facts": _facts,
}


def _rows(meanings: Meanings, places: IntArray) -> Meanings:
    """Some of the sentences, in their documents."""
    return Meanings(*(getattr(meanings, part.name)[places] for part in fields(Meanings)))


def _sentences(meanings: Meanings, which: NDArray[np.bool_]) -> Meanings:
    """The chosen sentences, each as a document of its own."""
    rows = _rows(meanings, np.flatnonzero(which))
    return replace(rows, document=np.arange(len(rows.document)))


def _brackets(
    language: ControlledLanguage, seed: int, per_kind: int, rng: np.random.Generator
) -> list[ControlledPair]:
    preferences = build_preferences(language.seed(seed))

    def documents() -> list[bytes]:
        return write_brackets(preferences, rng).tobytes().split(bytes([SEPARATOR]))[:-1]

    pairs: list[ControlledPair] = []
    while len(pairs) < per_kind:
        for good in islice(documents(), per_kind - len(pairs)):
            text = np.frombuffer(good, dtype=np.uint8).copy()
            place = rng.choice(np.flatnonzero(np.isin(text, CLOSING)))
            text[place] = rng.choice(CLOSING[text[place] != CLOSING])
            pairs.append(ControlledPair("brackets", good, text.tobytes()))
    return pairs
