"""What a controlled language is made of, and those that have a name of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from raydt.corpora.controlled.dials import SharedWorld, share_surface
from raydt.corpora.controlled.distant import build_distant
from raydt.corpora.controlled.family import build_daughter
from raydt.corpora.controlled.scripts import write_surface
from raydt.corpora.controlled.surface import Surface, build_sister, build_surface
from raydt.corpora.controlled.world import World, build_world

# Surface seeds of one corpus are small numbers: the corpora of two seeds share none.
SEEDS_PER_CORPUS = 1000
SEEDS_PER_VARIANT = 100
MAX_VARIANT = 9

Making: TypeAlias = Literal["own", "sister", "dialled", "distant", "lusa", "hispa", "brackets"]
Content: TypeAlias = Literal["world", "nonsense", "brackets"]


@dataclass(frozen=True)
class ControlledLanguage:
    """How one language is made; seeds are relative to the corpus's own."""

    name: str
    summary: str
    making: Making
    surface_seed: int
    content: Content = "world"
    surface_share: float = 1.0  # of the words and suffixes of `related`
    world_share: float = 1.0  # of the documents that speak of the world of `related`
    script: str = "latin"

    def seed(self, corpus_seed: int) -> int:
        """The seed of what is this language's alone."""
        return SEEDS_PER_CORPUS * corpus_seed + self.surface_seed

    def with_variant(self, variant: int) -> ControlledLanguage:
        """Another draw of the same kind."""
        return replace(self, surface_seed=self.surface_seed + SEEDS_PER_VARIANT * (variant - 1))

    def build_world(self, corpus_seed: int) -> World | SharedWorld:
        """What it speaks of."""
        world = build_world(SEEDS_PER_CORPUS * corpus_seed)
        if self.world_share == 1:
            return world
        other = build_world(self.seed(corpus_seed))
        return SharedWorld(world, other, self.world_share) if self.world_share else other

    def build_surface(self, corpus_seed: int) -> Surface:
        """How it says it. Brackets have no surface."""
        return write_surface(self._latin_surface(corpus_seed), self.script)

    def _latin_surface(self, corpus_seed: int) -> Surface:
        seed = self.seed(corpus_seed)
        assert self.making != "brackets"
        if self.making == "own":
            return build_surface(seed)
        if self.making == "distant":
            return build_distant(seed)
        if self.making == "lusa" or self.making == "hispa":
            return build_daughter(seed, self.making)
        parent = LANGUAGES["related"]._latin_surface(corpus_seed)
        if self.making == "sister":
            return build_sister(parent, self.surface_share, seed)
        return share_surface(parent, self.surface_share, seed)


# The first five are the demo's, which was tuned on their very text.
LANGUAGES = {
    language.name: language
    for language in (
        ControlledLanguage("related", "parent of alba and brio", "own", 1),
        ControlledLanguage("unrelated", "the same world in other words and sounds", "own", 5),
        ControlledLanguage("nonsense", "words that say nothing", "own", 9, content="nonsense"),
        ControlledLanguage(
            "alba", "keeps 0.7 of the words of related", "sister", 2, surface_share=0.7
        ),
        ControlledLanguage(
            "brio", "keeps another 0.7 of the words of related", "sister", 3, surface_share=0.7
        ),
        ControlledLanguage("lusa", "to hispa as Portuguese is to Spanish", "lusa", 7),
        ControlledLanguage("hispa", "to lusa as Spanish is to Portuguese", "hispa", 7),
        ControlledLanguage(
            "distant", "the same world with prefixes, clusters and the object first", "distant", 6
        ),
        ControlledLanguage(
            "brackets", "nested brackets, no words", "brackets", 8, content="brackets"
        ),
    )
}


def dialled_language(name: str, world_share: float, surface_share: float) -> ControlledLanguage:
    """A language with these shares of the world and of the surface of `related`."""
    return ControlledLanguage(
        name,
        f"has {world_share:.0%} of the world and {surface_share:.0%} of the words of related",
        "dialled",
        surface_seed=4,
        world_share=world_share,
        surface_share=surface_share,
    )
