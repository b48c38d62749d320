"""The text of the controlled languages, by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled.brackets import build_preferences, write_brackets
from raydt.corpora.controlled.languages import LANGUAGES, ControlledLanguage
from raydt.corpora.controlled.names import find_language
from raydt.corpora.controlled.speak import babble, build_pieces, speak
from raydt.corpora.controlled.surface import Surface
from raydt.corpora.controlled.world import World
from raydt.corpora.splits import SPLITS, Split

__all__ = [
    "GENERATOR_VERSION",
    "LANGUAGES",
    "chunk_writer",
    "generate",
    "language_surface",
    "language_world",
]

# Raised with every change of what a seed says, so that no older text is taken for the new one.
GENERATOR_VERSION = 1
DOCUMENTS_PER_CHUNK = 256  # about 64 kB


@cache
def language_world(name: str, seed: int) -> World:
    """What a language of the corpus of a seed speaks of."""
    return find_language(name).build_world(seed)


@cache
def language_surface(name: str, seed: int) -> Surface:
    """The strings of a language of the corpus of a seed."""
    return find_language(name).build_surface(seed)


def generate(language: str, split: Split, num_bytes: int, seed: int) -> NDArray[np.uint8]:
    """The first `num_bytes` bytes of a split; shape (num_bytes,), documents ended by byte 0.

    A longer request begins with the bytes of a shorter one: the text is made of whole chunks, each
    with a random stream of its own. The last document may be cut, within a character too.
    `InputError` if there is no language of that name.
    """
    write_chunk = chunk_writer(find_language(language), seed)
    # Python's own hash of a string changes from process to process.
    stream = [seed, zlib.crc32(language.encode()), SPLITS.index(split)]
    text = np.empty(num_bytes, dtype=np.uint8)
    filled = chunk_index = 0
    while filled < num_bytes:
        chunk = write_chunk(np.random.default_rng([*stream, chunk_index]))[: num_bytes - filled]
        text[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
        chunk_index += 1
    return text


def chunk_writer(
    language: ControlledLanguage, seed: int
) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """What writes the next documents of a language, from a random stream. From the same stream
    languages of one world say the same, each in its words."""
    if language.content == "brackets":
        preferences = build_preferences(language.seed(seed))
        return lambda rng: write_brackets(preferences, rng)
    surface = language_surface(language.name, seed)
    pieces = build_pieces(surface)
    if language.content == "nonsense":
        return lambda rng: babble(pieces, DOCUMENTS_PER_CHUNK, rng)
    world = language_world(language.name, seed)
    return lambda rng: speak(world, surface, pieces, DOCUMENTS_PER_CHUNK, rng)
