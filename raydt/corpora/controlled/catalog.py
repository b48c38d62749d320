"""The text of the controlled languages, by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled.brackets import build_preferences, write_brackets
from raydt.corpora.controlled.dials import SharedWorld
from raydt.corpora.controlled.languages import LANGUAGES, ControlledLanguage
from raydt.corpora.controlled.names import find_language
from raydt.corpora.controlled.speak import babble, build_pieces, speak
from raydt.corpora.controlled.surface import Surface
from raydt.corpora.controlled.world import World, tell
from raydt.corpora.splits import SPLITS, Split

__all__ = [
    "GENERATOR_VERSION",
    "LANGUAGES",
    "chunk_writer",
    "generate",
    "generator_version",
    "language_surface",
    "language_world",
]

# Raised with every change of what a seed says, so that no older text is taken for the new one.
GENERATOR_VERSION = 1
_SHARED_WORLD_VERSION = 2  # in 1 a share of a world was one of the rows of its tables
DOCUMENTS_PER_CHUNK = 256  # about 64 kB


def generator_version(name: str) -> int:
    """The version of what a language's text is made by; no other version's text is taken."""
    has_two_worlds = 0 < find_language(name).world_share < 1
    return GENERATOR_VERSION + has_two_worlds * (_SHARED_WORLD_VERSION - 1)


@cache
def language_world(name: str, seed: int) -> World | SharedWorld:
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
    told = world.tell if isinstance(world, SharedWorld) else partial(tell, world)
    return lambda rng: speak(told, surface, pieces, DOCUMENTS_PER_CHUNK, rng)
