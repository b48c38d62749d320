"""Minimal pairs of controlled languages: each breaks the rule that it names, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from raydt.corpora.controlled.catalog import generate, language_surface, language_world
from raydt.corpora.controlled.dials import SharedWorld
from raydt.corpora.controlled.pairs import ControlledPair, build_pairs
from raydt.corpora.controlled.surface import ADJECTIVE_PLURAL, FIRST_ADJECTIVE, FIRST_VERB, OBJECT
from raydt.corpora.controlled.world import NOUNS_PER_CLASS, NUM_TENSES
from raydt.errors import InputError

WITH_RULES = ["related", "alba", "distant", "w0.5-s0.5", "w0-s1", "lusa", "distant-devanagari"]
KINDS = ("agreement", "tense", "order", "facts")


def of_kind(language: str, kind: str, per_kind: int = 100) -> list[ControlledPair]:
    return [pair for pair in build_pairs(language, 0, per_kind) if pair.kind == kind]


@pytest.mark.parametrize("language", WITH_RULES)
def test_every_kind_has_as_many_and_no_kind_is_shorter(language: str) -> None:
    pairs = build_pairs(language, 0)
    assert Counter(pair.kind for pair in pairs) == dict.fromkeys(KINDS, 250)
    assert build_pairs(language, 0) == pairs
    assert build_pairs(language, 1) != pairs
    for kind in KINDS:
        mine = [pair for pair in pairs if pair.kind == kind]
        assert all(pair.good != pair.bad for pair in mine)
        for text in (text for pair in mine for text in (pair.good, pair.bad)):
            assert text.decode().endswith(".")
            assert b"\0" not in text
        # What is longer is less probable: a model that knows nothing else is to be right by half.
        longer = np.array([len(pair.bad) - len(pair.good) for pair in mine])
        assert abs(longer.mean()) < 0.05 * np.mean([len(pair.good) for pair in mine])
        assert abs((longer > 0).mean() - (longer < 0).mean()) < 0.15


@pytest.mark.parametrize("language", ["related", "distant"])
def test_bad_adjectives_have_the_other_number(language: str) -> None:
    affix = language_surface(language, 0).suffixes[ADJECTIVE_PLURAL]
    adjectives = language_surface(language, 0).words[FIRST_ADJECTIVE:]
    singular = set(adjectives)
    prefixing = language_surface(language, 0).prefixing
    plural = {affix + word if prefixing else word + affix for word in adjectives}
    seen = Counter()
    for pair in of_kind(language, "agreement"):
        good, bad = (text.decode().rstrip(".").split() for text in (pair.good, pair.bad))
        [place] = [n for n, (one, other) in enumerate(zip(good, bad, strict=True)) if one != other]
        assert {good[place], bad[place]} <= singular | plural
        seen[good[place] in plural] += 1
    assert seen == {True: 50, False: 50}


def test_bad_tenses_are_those_of_no_other_sentence_of_the_document() -> None:
    surface = language_surface("related", 0)
    verbs = surface.words[FIRST_VERB:FIRST_ADJECTIVE]
    tenses = surface.suffixes[:NUM_TENSES]
    forms = {verb + tense: number for number, tense in enumerate(tenses) for verb in verbs}

    def told(text: bytes) -> list[int]:
        words = (word.rstrip(".") for word in text.decode().split())
        return [forms[word] for word in words if word in forms]

    for pair in of_kind("related", "tense"):
        assert pair.good.count(b".") == 2
        assert len(set(told(pair.good))) == 1
        assert len(set(told(pair.bad))) == 2


def test_bad_orders_have_the_same_words() -> None:
    for pair in of_kind("related", "order"):
        good, bad = (text.rstrip(b".").lower().split() for text in (pair.good, pair.bad))
        assert sorted(good) == sorted(bad)


@pytest.mark.parametrize("language", ["related", "w0.5-s0.5"])
def test_bad_facts_are_false_in_every_world_of_the_language(language: str) -> None:
    surface, world = language_surface(language, 0), language_world(language, 0)
    worlds = [world.base, world.other] if isinstance(world, SharedWorld) else [world]
    marks = [surface.suffixes[place] for place in (OBJECT, OBJECT - 2)]
    objects = {
        noun + plural + marks[0]: number // NOUNS_PER_CLASS
        for number, noun in enumerate(surface.words[:FIRST_VERB])
        for plural in ("", marks[1])
    }
    verbs = {
        verb + tense: number
        for number, verb in enumerate(surface.words[FIRST_VERB:FIRST_ADJECTIVE])
        for tense in surface.suffixes[:NUM_TENSES]
    }
    checked = 0
    for pair in of_kind(language, "facts"):
        for text, is_good in ((pair.good, True), (pair.bad, False)):
            words = text.decode().rstrip(".").split()
            verb = [verbs[word] for word in words if word in verbs]
            noun = [objects[word] for word in words if word in objects]
            if len(verb) == len(noun) == 1:  # words that are alike by chance are left out
                checked += 1
                wanted = [one.object_class_by_verb[verb[0]] for one in worlds]
                assert (noun[0] in wanted) == is_good
    assert checked > 150


def test_bad_brackets_are_closed_by_another_kind() -> None:
    pairs = build_pairs("brackets", 0, 40)
    assert {pair.kind for pair in pairs} == {"brackets"}
    assert len(pairs) == 40
    for pair in pairs:
        assert _is_balanced(pair.good)
        assert not _is_balanced(pair.bad)
        assert sum(one != other for one, other in zip(pair.good, pair.bad, strict=True)) == 1


def _is_balanced(text: bytes) -> bool:
    closed_by = dict(zip(b"([{<", b")]}>", strict=True))
    open_: list[int] = []
    for byte in text:
        if byte in closed_by:
            open_.append(closed_by[byte])
        elif not open_ or open_.pop() != byte:
            return False
    return not open_


def test_no_text_is_one_of_a_split() -> None:
    train = generate("related", "train", 200_000, 0).tobytes()
    assert not any(pair.good in train for pair in of_kind("related", "tense"))


def test_what_follows_no_rule_has_no_pairs() -> None:
    with pytest.raises(
        InputError, match="language nonsense: expected one whose text follows rules"
    ):
        build_pairs("nonsense", 0)
    with pytest.raises(InputError, match="did you mean alba"):
        build_pairs("albo", 0)
