"""From meanings to bytes, without a Python loop over words.

A sentence is a row of pieces (a word with the space before it, a suffix, a syllable of a name);
the pieces of a language are one flat byte array with offsets, and a chunk of text is gathered from
it in one indexing operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled import surface as s
from raydt.corpora.controlled.draw import IntArray
from raydt.corpora.controlled.surface import Surface
from raydt.corpora.controlled.world import MAX_PEOPLE, NONE, Meanings
from raydt.corpora.splits import SEPARATOR

_EMPTY, _STOP, _DOCUMENT_END = 0, 1, 2
_FIRST_WORD = 3
SYLLABLES_PER_NAME = 3
# Of nonsense: how many of its words end a document, and how many of the rest end a sentence.
DOCUMENT_END_RATE = 0.02
STOP_RATE = 0.16 / 0.98


@dataclass(frozen=True)
class Pieces:
    """The strings of a language as bytes, by number. Each has a twin, which has a space
    before it where the first has none, and none where it has one."""

    flat: NDArray[np.uint8]
    start: NDArray[np.int32]
    length: NDArray[np.int32]
    first_suffix: int
    first_name_head: int  # a syllable that opens a name, space and capital included
    first_name_tail: int
    to_other_spacing: int  # what to add

    def text(self, piece: IntArray) -> NDArray[np.uint8]:
        """The bytes of a sequence of pieces (n,) -> (bytes,)."""
        piece = piece[piece != _EMPTY]
        length = self.length[piece]
        begins = length.cumsum(dtype=np.int32)
        num_bytes = int(begins[-1])
        begins -= length
        shift = np.repeat(self.start[piece] - begins, length)
        shift += np.arange(num_bytes, dtype=np.int32)
        text: NDArray[np.uint8] = self.flat[shift]
        return text


def build_pieces(surface: Surface) -> Pieces:
    """The pieces of a surface; made once for a text, not once a chunk."""
    strings = ["", ".", ".\0"]
    strings += [" " + word for word in surface.words]
    first_suffix = len(strings)
    strings += surface.suffixes
    first_name_head = len(strings)
    strings += [" " + syllable.capitalize() for syllable in surface.syllables]
    first_name_tail = len(strings)
    strings += surface.syllables
    to_other_spacing = len(strings)
    strings += [string[1:] if string.startswith(" ") else " " + string for string in strings]
    encoded = [string.encode() for string in strings]
    length = np.array([len(string) for string in encoded], dtype=np.int32)
    return Pieces(
        flat=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        start=length.cumsum(dtype=np.int32) - length,
        length=length,
        first_suffix=first_suffix,
        first_name_head=first_name_head,
        first_name_tail=first_name_tail,
        to_other_spacing=to_other_spacing,
    )


def new_names(num_documents: int, pieces: Pieces, rng: np.random.Generator) -> IntArray:
    """New names for the people of each document: (documents, people, syllables) of pieces."""
    shape = (num_documents, MAX_PEOPLE, SYLLABLES_PER_NAME)
    names = rng.integers(0, s.NUM_SYLLABLES, shape) + pieces.first_name_tail
    names[..., 0] += pieces.first_name_head - pieces.first_name_tail
    return names


def _said(concept: IntArray, first: int) -> IntArray:
    """Pieces of words, empty where there is no concept: (n,) -> (n, 1)."""
    return np.where(concept == NONE, _EMPTY, concept + first)[:, None]


def speak(
    tell: Callable[[int, np.random.Generator], Meanings],
    surface: Surface,
    pieces: Pieces,
    num_documents: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """`num_documents` documents of about 250 letters, each ended by byte 0; `tell` says what of."""
    meanings = tell(num_documents, rng)
    names = new_names(num_documents, pieces, rng)
    return say(meanings, names, pieces, surface)


def say(
    meanings: Meanings,
    names: IntArray,
    pieces: Pieces,
    surface: Surface,
    disagrees: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """The documents of these meanings, each ended by byte 0; `names` are of `new_names`.

    disagrees: (n,) sentences whose adjective has the number that its noun has not, which no text of
    a corpus has.
    """
    rows = _sentences(meanings, names, pieces, surface, disagrees)
    return _without_leading_spaces(pieces.text(rows.ravel()))


def _sentences(
    meanings: Meanings,
    names: IntArray,
    pieces: Pieces,
    surface: Surface,
    disagrees: NDArray[np.bool_] | None,
) -> IntArray:
    """One row of pieces per sentence, in the word order of the surface."""
    m = meanings
    suffix = pieces.first_suffix

    def only(where: NDArray[np.bool_], piece: int | IntArray) -> IntArray:
        return np.where(where, piece, _EMPTY)[:, None]

    has_noun = m.object_noun != NONE
    has_person = m.object_person != NONE
    plural = (m.object_plural == 1) & has_noun
    adjective_plural = plural if disagrees is None else plural ^ disagrees

    def inflected(stem: IntArray, *affixes: IntArray) -> IntArray:
        affix = np.concatenate(affixes, axis=1)
        if not surface.prefixing:
            return np.concatenate([stem, affix], axis=1)
        # The space goes before the first prefix, and from the word where it has one.
        said = affix != _EMPTY
        first = said & (said.cumsum(axis=1) == 1)
        moved = said.any(axis=1) & (stem[:, 0] != _EMPTY)
        stem[moved, 0] += pieces.to_other_spacing
        affix[first] += pieces.to_other_spacing
        return np.concatenate([affix, stem], axis=1)

    noun = inflected(
        _said(m.object_noun, _FIRST_WORD),
        only(plural, suffix + s.PLURAL),
        only(has_noun, suffix + s.OBJECT),
    )
    adjective = inflected(
        _said(m.object_adjective, _FIRST_WORD + s.FIRST_ADJECTIVE),
        only(adjective_plural & (m.object_adjective != NONE), suffix + s.ADJECTIVE_PLURAL),
    )
    person = inflected(
        np.where(has_person[:, None], names[m.document, m.object_person], _EMPTY),
        only(has_person, suffix + s.OBJECT),
    )
    noun_phrase = [adjective, noun] if surface.adjective_first else [noun, adjective]
    place = inflected(_said(m.place, _FIRST_WORD), only(m.place != NONE, suffix + s.PLACE))
    parts = {
        "S": [_said(m.subject_noun, _FIRST_WORD), names[m.document, m.subject]],
        "V": [inflected(_said(m.verb, _FIRST_WORD + s.FIRST_VERB), (m.tense + suffix)[:, None])],
        "O": [*noun_phrase, person],
    }
    clause = [column for part in surface.order for column in parts[part]]
    clause = [place, *clause] if surface.place_first else [*clause, place]
    last = np.append(m.document[1:] != m.document[:-1], True)
    return np.concatenate([*clause, np.where(last, _DOCUMENT_END, _STOP)[:, None]], axis=1)


def _without_leading_spaces(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Documents begin with a word, not with the space before it."""
    first = np.append(True, text[:-1] == SEPARATOR)
    kept: NDArray[np.uint8] = text[~(first & (text == ord(" ")))]
    return kept


def babble(pieces: Pieces, num_documents: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Nonsense: words of a surface in no order, with stops and documents, but nothing said."""
    num_words = rng.geometric(DOCUMENT_END_RATE, num_documents)
    last_word = num_words.cumsum() - 1
    word = rng.integers(0, s.NUM_WORDS, last_word[-1] + 1) + _FIRST_WORD
    stop = np.where(rng.random(len(word)) < STOP_RATE, _STOP, _EMPTY)
    stop[last_word] = _DOCUMENT_END
    rows = np.stack([word, stop], axis=1)
    return _without_leading_spaces(pieces.text(rows.ravel()))
