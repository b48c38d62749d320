"""The controlled languages by name: a row each."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from raydt.corpora.controlled.speak import babble, speak
from raydt.corpora.controlled.surface import Surface, build_sister, build_surface
from raydt.corpora.controlled.world import World, build_world
from raydt.corpora.splits import SPLITS, Split

# Raised with every change of what a seed says, so that no older text is taken for the new one.
GENERATOR_VERSION = 1
DOCUMENTS_PER_CHUNK = 256  # about 64 kB
# Surface seeds of one corpus are small numbers: the corpora of two seeds share none.
_SEEDS_PER_CORPUS = 1000


@dataclass(frozen=True)
class ControlledLanguage:
    """How one language is made; seeds are relative to the corpus's own."""

    name: str
    surface_seed: int
    parent: str | None = None  # sister of this language, with a share of its words and suffixes
    share: float = 1.0
    has_world: bool = True  # without a world there is nothing to say, and the language babbles


LANGUAGES = {
    language.name: language
    for language in (
        ControlledLanguage("related", surface_seed=1),
        ControlledLanguage("unrelated", surface_seed=5),
        ControlledLanguage("nonsense", surface_seed=9, has_world=False),
        ControlledLanguage("alba", surface_seed=2, parent="related", share=0.7),
        ControlledLanguage("brio", surface_seed=3, parent="related", share=0.7),
    )
}


@cache
def _world(seed: int) -> World:
    return build_world(_SEEDS_PER_CORPUS * seed)


@cache
def language_surface(name: str, seed: int) -> Surface:
    """The strings of a language of the corpus of a seed."""
    language = LANGUAGES[name]
    surface_seed = _SEEDS_PER_CORPUS * seed + language.surface_seed
    if language.parent is None:
        return build_surface(surface_seed)
    return build_sister(language_surface(language.parent, seed), language.share, surface_seed)


def generate(language: str, split: Split, num_bytes: int, seed: int) -> NDArray[np.uint8]:
    """The first `num_bytes` bytes of a split; shape (num_bytes,), documents ended by byte 0.

    A longer request begins with the bytes of a shorter one: the text is made of chunks with a
    fixed number of documents, each with a random stream of its own. The last document may be cut.
    """
    # Python's own hash of a string changes from process to process.
    stream = [seed, zlib.crc32(language.encode()), SPLITS.index(split)]
    surface = language_surface(language, seed)
    text = np.empty(num_bytes, dtype=np.uint8)
    filled = chunk_index = 0
    while filled < num_bytes:
        rng = np.random.default_rng([*stream, chunk_index])
        chunk = (
            speak(_world(seed), surface, DOCUMENTS_PER_CHUNK, rng)
            if LANGUAGES[language].has_world
            else babble(surface, DOCUMENTS_PER_CHUNK, rng)
        )[: num_bytes - filled]
        text[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
        chunk_index += 1
    return text
